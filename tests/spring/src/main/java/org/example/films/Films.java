package org.example.films;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.util.List;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.service.annotation.GetExchange;
import org.springframework.web.service.annotation.PostExchange;

/** The calls. Numbers may be primitives and lists need no null check: an answer holds no null for either. */
public interface Films {
    @PostExchange("/api/movies/recommend")
    Answer recommend(@RequestBody Wish wish, @RequestHeader("X-Request-Timeout-Ms") int deadlineMs);

    @GetExchange("/api/movies/{id}/ott")
    Links links(@PathVariable long id);

    record Wish(String message, @JsonProperty("user_id") String userId, int page, int limit) {}

    record Answer(boolean success, Data data, List<Film> movies, @JsonProperty("total_results") int totalResults) {}

    record Data(String source, boolean degraded, @JsonProperty("degraded_reason") String degradedReason, List<String> attribution) {}

    record Film(long id, String title, String overview, @JsonProperty("release_date") String releaseDate,
            @JsonProperty("poster_path") String posterPath, @JsonProperty("vote_average") double voteAverage,
            @JsonProperty("media_type") String mediaType, @JsonProperty("ott_links") List<Link> ottLinks) {}

    record Link(@JsonProperty("provider_name") String providerName, @JsonProperty("provider_id") int providerId, String link, String type) {}

    record Links(boolean success, @JsonProperty("movie_id") long movieId, @JsonProperty("ott_links") List<Link> ottLinks, String error) {}
}
