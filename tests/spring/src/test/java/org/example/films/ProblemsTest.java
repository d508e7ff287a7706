package org.example.films;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.http.MediaType;
import org.springframework.http.ProblemDetail;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.RestClientResponseException;
import org.springframework.web.reactive.function.client.WebClient;
import org.springframework.web.reactive.function.client.WebClientResponseException;

/** Each error is a ProblemDetail, for RestClient and for WebClient. */
class ProblemsTest {
    private static final String RECOMMEND = "/api/movies/recommend";
    private static final String LINKS = "/api/movies/496243/ott";

    private static ConfigurableApplicationContext application;
    private static WebClient webClient;

    /** Spring Boot's builder: WebClient.create() of Spring 7 reads a ProblemDetail without its own members. */
    @BeforeAll
    static void start() {
        application = Stage.application();
        webClient = application.getBean(WebClient.Builder.class).build();
    }

    @AfterAll
    static void stop() {
        application.close();
    }

    /** A request that fails, and how. `deadline` and `key` may be empty. */
    record Failing(int status, String code, String url, HttpMethod method, String path, String body, MediaType type, String key, String deadline) {
        static Failing post(int status, String code, String url, String body) {
            return new Failing(status, code, url, HttpMethod.POST, RECOMMEND, body, MediaType.APPLICATION_JSON, Stage.KEY, "");
        }

        static Failing get(int status, String code, String url, String path, String key) {
            return new Failing(status, code, url, HttpMethod.GET, path, null, MediaType.APPLICATION_JSON, key, "");
        }

        Failing withMethod(HttpMethod other) {
            return new Failing(status, code, url, other, path, body, type, key, deadline);
        }

        Failing withType(MediaType other) {
            return new Failing(status, code, url, method, path, body, other, key, deadline);
        }

        Failing withKey(String other) {
            return new Failing(status, code, url, method, path, body, type, other, deadline);
        }

        Failing within(int milliseconds) {
            return new Failing(status, code, url, method, path, body, type, key, Integer.toString(milliseconds));
        }

        void headers(HttpHeaders headers) {
            headers.setContentType(type);
            headers.setAccept(List.of(MediaType.APPLICATION_JSON));
            if (!key.isEmpty()) {
                headers.set("X-Api-Key", key);
            }
            if (!deadline.isEmpty()) {
                headers.set("X-Request-Timeout-Ms", deadline);
            }
        }

        @Override
        public String toString() {
            return status + " " + code;
        }
    }

    private static String asking(String message) {
        return "{\"message\": \"" + message + "\"}";
    }

    static Stream<Failing> failing() {
        return Stream.of(
                Failing.post(400, "malformed_json", Stage.URL, "{\"message\": "),
                Failing.get(401, "unauthenticated", Stage.URL, LINKS, ""),
                Failing.get(401, "unauthenticated", Stage.URL, LINKS, "oc_wrong"),
                Failing.post(403, "forbidden", Stage.URL, asking("영화")).withKey(Stage.READER_KEY),
                Failing.get(404, "not_found", Stage.URL, "/api/nothing", Stage.KEY),
                Failing.get(405, "method_not_allowed", Stage.URL, LINKS, Stage.KEY).withMethod(HttpMethod.DELETE),
                Failing.post(413, "body_too_large", Stage.URL, asking("a".repeat(70_000))),
                Failing.post(415, "unsupported_media_type", Stage.URL, "영화").withType(MediaType.TEXT_PLAIN),
                Failing.post(422, "invalid_fields", Stage.URL, asking("")),
                Failing.get(422, "invalid_fields", Stage.URL, "/api/movies/0/ott", Stage.KEY),
                Failing.post(502, "upstream_bad_reply", Stage.STRICT_URL, asking("[garbage]")),
                Failing.post(504, "upstream_timeout", Stage.STRICT_URL, asking("[hang]")).within(300));
    }

    @ParameterizedTest
    @MethodSource("failing")
    void restClientReadsIt(Failing failing) {
        RestClient client = RestClient.builder().requestFactory(new JdkClientHttpRequestFactory()).build();
        var request = client.method(failing.method()).uri(failing.url() + failing.path()).headers(failing::headers);
        if (failing.body() != null) {
            request.body(failing.body());
        }
        var error = catchThrowableOfType(RestClientResponseException.class, () -> request.retrieve().toBodilessEntity());
        hold(failing, error.getStatusCode().value(), error.getResponseHeaders(), error.getResponseBodyAs(ProblemDetail.class));
    }

    @ParameterizedTest
    @MethodSource("failing")
    void webClientReadsIt(Failing failing) {
        var request = webClient.method(failing.method()).uri(failing.url() + failing.path()).headers(failing::headers);
        if (failing.body() != null) {
            request.bodyValue(failing.body());
        }
        var error = catchThrowableOfType(WebClientResponseException.class, () -> request.retrieve().toBodilessEntity().block());
        hold(failing, error.getStatusCode().value(), error.getHeaders(), error.getResponseBodyAs(ProblemDetail.class));
    }

    private static void hold(Failing failing, int status, HttpHeaders headers, ProblemDetail problem) {
        assertThat(status).isEqualTo(failing.status());
        assertThat(headers.getContentType()).isNotNull().matches(MediaType.APPLICATION_PROBLEM_JSON::isCompatibleWith);
        assertThat(problem.getStatus()).isEqualTo(failing.status());
        assertThat(problem.getTitle()).isNotBlank();
        assertThat(problem.getDetail()).isNotBlank();
        assertThat(problem.getInstance()).hasToString(failing.path());
        Map<String, Object> members = problem.getProperties();
        assertThat(members).containsEntry("code", failing.code()).containsEntry("success", false);
        assertThat(members.get("request_id")).isEqualTo(headers.getFirst("X-Request-Id"));
        if (failing.status() == 405) {
            assertThat(headers.getAllow()).contains(HttpMethod.GET);
        }
        if (failing.status() == 422 && failing.method() == HttpMethod.POST) {
            assertThat(members.get("errors")).asString().contains("message");
        }
    }
}
