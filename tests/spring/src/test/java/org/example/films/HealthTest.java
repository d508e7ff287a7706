package org.example.films;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.springframework.http.MediaType;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.web.client.RestClient;

/** Health as Spring's own programs read it of one another. */
class HealthTest {
    record Health(String status, boolean degraded, Map<String, Component> components) {}

    record Probe(String status) {}

    record Component(String status, Map<String, Object> details) {}

    private static final RestClient CLIENT = RestClient.builder().baseUrl(Stage.URL).requestFactory(new JdkClientHttpRequestFactory()).build();

    @ParameterizedTest
    @ValueSource(strings = {"/actuator/health", "/health"})
    void itIsAnActuators(String path) {
        var answer = CLIENT.get().uri(path).header("X-Api-Key", Stage.KEY)
                .accept(MediaType.valueOf("application/vnd.spring-boot.actuator.v3+json"), MediaType.APPLICATION_JSON)
                .retrieve().toEntity(Health.class);
        assertThat(answer.getStatusCode().value()).isEqualTo(200);
        assertThat(answer.getBody().status()).isEqualTo("UP");
        assertThat(answer.getBody().components()).containsKeys("llm", "redis", "catalogue", "api_server");
        assertThat(answer.getBody().components().values()).extracting(Component::status).isSubsetOf("UP", "DOWN", "UNKNOWN");
        assertThat(answer.getBody().components().get("catalogue").status()).isEqualTo("UP");
    }

    @ParameterizedTest
    @ValueSource(strings = {"/health/liveness", "/health/readiness", "/healthz"})
    void theProbesNeedNoKey(String path) {
        assertThat(CLIENT.get().uri(path).retrieve().body(Probe.class).status()).isEqualTo("UP");
    }
}
