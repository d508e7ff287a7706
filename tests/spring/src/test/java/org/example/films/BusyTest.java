package org.example.films;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.time.Duration;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.springframework.http.ProblemDetail;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestClientResponseException;

/** 429 and 503: what they say, and what HttpComponents makes of them by itself. */
class BusyTest {
    private static Films.Answer ask(RestClient client, String message) {
        return client.post().uri("/api/movies/recommend").body(Stage.wish(message)).retrieve().body(Films.Answer.class);
    }

    private static void holdsBusy(RestClientResponseException error, int status, String code) {
        assertThat(error.getStatusCode().value()).isEqualTo(status);
        assertThat(error.getResponseBodyAs(ProblemDetail.class).getProperties()).containsEntry("code", code);
        assertThat(Integer.parseInt(error.getResponseHeaders().getFirst("Retry-After"))).isBetween(1, 2);
    }

    @Test
    void whoIsOverALimitForLongIsToldTwiceAtMost() {
        for (String name : new String[] {"jdk", "httpcomponents"}) {
            RestClient client = Stage.client(name, Stage.LIMITED_URL);
            Instant begun = Instant.now();
            RestClientResponseException error = null;
            for (int number = 0; number < 4 && error == null; number++) {
                error = catchThrowableOfType(RestClientResponseException.class,
                        () -> client.get().uri("/api/movies/popular").retrieve().toBodilessEntity());
            }
            assertThat(error).isNotNull();
            holdsBusy(error, 429, "rate_limited");
            assertThat(error.getResponseHeaders().getFirst("RateLimit")).as("says the true time").contains("r=0");
            assertThat(Duration.between(begun, Instant.now())).as(name + " sleeps for Retry-After and tries once more").isLessThan(Duration.ofSeconds(10));
        }
    }

    @Test
    void httpComponentsRepeatsAPostAfter429AndTheModelIsAskedOnce() {
        RestClient client = Stage.client("httpcomponents", Stage.LIMITED_URL);
        String first = Stage.unique("첫");
        String second = Stage.unique("둘째");
        ask(client, first);
        Films.Answer answer = ask(client, second); // 429 at first, unless this machine was slower than the limit
        assertThat(answer.movies()).isNotEmpty();
        assertThat(Stage.questions(first)).hasSize(1);
        assertThat(Stage.questions(second)).hasSize(1);
    }

    @Test
    void anOpenBreakerIs503AndHttpComponentsIsAnsweredOnItsSecondTry() {
        RestClient jdk = Stage.client("jdk", Stage.BREAKER_URL);
        RestClientResponseException error = null;
        for (int number = 0; number < 20 && (error == null || error.getStatusCode().value() != 503); number++) {
            String message = Stage.unique("[500]");
            error = catchThrowableOfType(RestClientResponseException.class, () -> ask(jdk, message));
        }
        holdsBusy(error, 503, "upstream_unavailable");
        String message = Stage.unique("다시");
        assertThat(ask(Stage.client("httpcomponents", Stage.BREAKER_URL), message).movies()).isNotEmpty();
        assertThat(Stage.questions(message)).hasSize(1);
    }
}
