package org.example.films;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.springframework.http.ProblemDetail;
import org.springframework.http.codec.ServerSentEvent;
import org.springframework.web.reactive.function.client.WebClient;
import org.springframework.web.reactive.function.client.WebClientResponseException;
import reactor.core.publisher.Flux;

/** Server-sent events into a Flux. */
class StreamTest {
    private static String title(ServerSentEvent<Map<String, Object>> event) {
        return String.valueOf(event.data().get("title"));
    }

    @Test
    void aFilmIsHereBeforeTheModelHasEnded() {
        try (var application = Stage.application("opuscine.url=" + Stage.STREAM_URL)) {
            var seen = new ArrayList<ServerSentEvent<Map<String, Object>>>();
            application.getBean(FilmStream.class).recommend(Stage.wish("명작")).doOnNext(event -> {
                if (seen.isEmpty()) {
                    // The model holds its last words back until it is told to go on: a stream that waited for them would never get here.
                    Stage.letTheModelEnd();
                }
                seen.add(event);
            }).blockLast(Duration.ofSeconds(30));
            assertThat(seen).extracting(ServerSentEvent::event).containsExactly("movie", "movie", "movie", "message", "done");
            assertThat(seen.subList(0, 3)).extracting(StreamTest::title).containsExactly("기생충", "올드보이", "살인의 추억");
            assertThat(seen).extracting(ServerSentEvent::id).containsExactly("0", "1", "2", "3", "4");
            assertThat(seen.get(4).data()).containsEntry("success", true).doesNotContainKey("movies");
        }
    }

    @Test
    void whatIsWrongBeforeTheFirstEventIsAnOrdinaryProblem() {
        try (var application = Stage.application()) {
            Flux<ServerSentEvent<Map<String, Object>>> events = application.getBean(FilmStream.class).recommend(Stage.wish(""));
            var error = catchThrowableOfType(WebClientResponseException.class, () -> events.blockLast());
            ProblemDetail problem = error.getResponseBodyAs(ProblemDetail.class);
            assertThat(problem.getStatus()).isEqualTo(422);
            assertThat(problem.getProperties()).containsEntry("code", "invalid_fields");
        }
    }

    @Test
    void theLargestAnswerFitsIntoWebClientsBuffer() {
        String answer = WebClient.create(Stage.URL).post().uri("/api/movies/recommend").header("X-Api-Key", Stage.KEY)
                .bodyValue(Map.of("message", "[many] " + Stage.unique("긴 답"), "limit", 100)).retrieve().bodyToMono(String.class).block();
        assertThat(answer.getBytes(StandardCharsets.UTF_8).length).isBetween(100_000, 262_144);
        List<?> films = WebClient.create(Stage.URL).post().uri("/api/movies/recommend").header("X-Api-Key", Stage.KEY)
                .bodyValue(Map.of("message", "[many] " + Stage.unique("긴 답"), "limit", 100)).retrieve().bodyToMono(Films.Answer.class)
                .map(Films.Answer::movies).block();
        assertThat(films).hasSize(100);
    }
}
