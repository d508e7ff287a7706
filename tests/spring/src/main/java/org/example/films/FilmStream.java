package org.example.films;

import java.time.Duration;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.core.ParameterizedTypeReference;
import org.springframework.http.MediaType;
import org.springframework.http.client.reactive.ReactorClientHttpConnector;
import org.springframework.http.codec.ServerSentEvent;
import org.springframework.stereotype.Component;
import org.springframework.web.reactive.function.client.WebClient;
import reactor.core.publisher.Flux;
import reactor.netty.http.client.HttpClient;
import reactor.netty.resources.ConnectionProvider;

/** Films as they are found: events named movie, then message, then done with the rest of the answer. */
@Component
public class FilmStream {
    private static final ParameterizedTypeReference<ServerSentEvent<Map<String, Object>>> EVENT = new ParameterizedTypeReference<>() {};

    private final WebClient client;

    FilmStream(WebClient.Builder builder, @Value("${opuscine.url}") String url, @Value("${opuscine.key}") String key) {
        // Without it reactor-netty keeps connections for ever, and a POST on one that the service has closed fails.
        var pool = ConnectionProvider.builder("opuscine").maxConnections(100).maxIdleTime(Duration.ofMinutes(15)).build();
        var connections = HttpClient.create(pool).responseTimeout(Duration.ofSeconds(32));
        client = builder.baseUrl(url).defaultHeader("X-Api-Key", key).clientConnector(new ReactorClientHttpConnector(connections)).build();
    }

    public Flux<ServerSentEvent<Map<String, Object>>> recommend(Films.Wish wish) {
        return client.post().uri("/api/movies/recommend").bodyValue(wish).accept(MediaType.TEXT_EVENT_STREAM)
                .retrieve().bodyToFlux(EVENT).filter(event -> event.data() != null); // a comment keeps a waiting stream alive
    }
}
