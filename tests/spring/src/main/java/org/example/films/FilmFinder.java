package org.example.films;

import org.springframework.http.ProblemDetail;
import org.springframework.stereotype.Component;
import org.springframework.web.client.RestClientResponseException;

/** What a page asks for, and what an error is for it. */
@Component
public class FilmFinder {
    private final Films films;

    FilmFinder(Films films) {
        this.films = films;
    }

    public Films.Answer find(String sentence, String userId) {
        try {
            return films.recommend(new Films.Wish(sentence, userId, 1, 20), 10_000);
        } catch (RestClientResponseException error) {
            ProblemDetail problem = error.getResponseBodyAs(ProblemDetail.class);
            var code = problem.getProperties().get("code"); // stable, for programs; "detail" is for people
            var requestId = problem.getProperties().get("request_id"); // finds the request in the service's log
            throw new IllegalStateException("OpusCine: " + code + ", request " + requestId, error);
        }
    }
}
