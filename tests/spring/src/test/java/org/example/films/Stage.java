package org.example.films;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Stream;
import org.apache.hc.client5.http.config.RequestConfig;
import org.apache.hc.client5.http.impl.classic.HttpClients;
import org.apache.hc.client5.http.impl.io.PoolingHttpClientConnectionManagerBuilder;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.ParameterizedTypeReference;
import org.springframework.http.client.ClientHttpRequestFactory;
import org.springframework.http.client.HttpComponentsClientHttpRequestFactory;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.http.client.ReactorClientHttpRequestFactory;
import org.springframework.web.client.RestClient;
import reactor.netty.http.client.HttpClient;
import reactor.netty.resources.ConnectionProvider;

/** The services that were started for these tests, clients of theirs, and what the model behind them saw. */
final class Stage {
    static final String URL = of("OPUSCINE_URL");
    static final String KEY = of("OPUSCINE_KEY");
    static final String READER_KEY = of("OPUSCINE_READER_KEY");
    static final String COUNTED_URL = of("OPUSCINE_COUNTED_URL");
    static final String STRICT_URL = of("OPUSCINE_STRICT_URL");
    static final String BREAKER_URL = of("OPUSCINE_BREAKER_URL");
    static final String LIMITED_URL = of("OPUSCINE_LIMITED_URL");
    static final String STREAM_URL = of("OPUSCINE_STREAM_URL");
    private static final RestClient WITNESS = RestClient.builder().baseUrl(of("STAGE_URL")).requestFactory(new JdkClientHttpRequestFactory()).build();

    private Stage() {}

    /** A question as the model got it. */
    record Question(String message, String traceparent) {}

    static List<Question> questions(String containing) {
        return WITNESS.get().uri("/questions?containing={text}", containing).retrieve().body(new ParameterizedTypeReference<>() {});
    }

    static int connections() {
        return WITNESS.get().uri("/connections").retrieve().body(new ParameterizedTypeReference<Map<String, Integer>>() {}).get("accepted");
    }

    static void letTheModelEnd() {
        WITNESS.post().uri("/gate").retrieve().toBodilessEntity();
    }

    /** A message that no other test sends. */
    static String unique(String text) {
        return text + " " + UUID.randomUUID();
    }

    static Films.Wish wish(String message) {
        return new Films.Wish(message, "viewer-1", 1, 5);
    }

    /** The clients that RestClient may stand on, each with one connection at most where that can be set, and with nothing else set. */
    static Stream<String> clients() {
        return Stream.of("jdk", "httpcomponents", "reactor");
    }

    static ClientHttpRequestFactory requests(String client) {
        return switch (client) {
            case "jdk" -> new JdkClientHttpRequestFactory();
            case "httpcomponents" -> new HttpComponentsClientHttpRequestFactory(HttpClients.custom()
                    .setConnectionManager(PoolingHttpClientConnectionManagerBuilder.create().setMaxConnTotal(1).build()).build());
            case "expecting" -> new HttpComponentsClientHttpRequestFactory(HttpClients.custom()
                    .setDefaultRequestConfig(RequestConfig.custom().setExpectContinueEnabled(true).build()).build());
            case "reactor" -> new ReactorClientHttpRequestFactory(
                    HttpClient.create(ConnectionProvider.builder("one").maxConnections(1).maxIdleTime(Duration.ofMinutes(15)).build()));
            default -> throw new IllegalArgumentException(client);
        };
    }

    static RestClient client(String client, String url) {
        return RestClient.builder().baseUrl(url).defaultHeader("X-Api-Key", KEY).requestFactory(requests(client)).build();
    }

    /** The application, with its settings; the caller closes it. */
    static ConfigurableApplicationContext application(String... properties) {
        return new SpringApplicationBuilder(FilmsApplication.class).web(WebApplicationType.NONE).logStartupInfo(false)
                .properties("spring.main.banner-mode=off", "logging.level.root=warn",
                        "spring.jackson.deserialization.fail-on-null-for-primitives=true")
                .run(Stream.of(properties).map(property -> "--" + property).toArray(String[]::new));
    }

    private static String of(String variable) {
        String value = System.getenv(variable);
        if (value == null) {
            throw new IllegalStateException(variable + " is not set; run these tests by scripts/test tests/spring, which starts the services");
        }
        return value;
    }
}
