package org.example.films;

import java.net.http.HttpClient;
import java.time.Duration;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.http.client.JdkClientHttpRequestFactory;
import org.springframework.web.client.RestClient;
import org.springframework.web.client.support.RestClientAdapter;
import org.springframework.web.service.invoker.HttpServiceProxyFactory;

/** One client for the whole application, over the JDK's pool of connections. */
@Configuration
public class FilmsConfiguration {
    @Bean
    RestClient opusCine(RestClient.Builder builder, @Value("${opuscine.url}") String url, @Value("${opuscine.key}") String key) {
        var connections = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(2)).build();
        var requests = new JdkClientHttpRequestFactory(connections);
        requests.setReadTimeout(Duration.ofSeconds(32)); // a little more than the service's REQUEST_TIMEOUT
        return builder.baseUrl(url).defaultHeader("X-Api-Key", key).requestFactory(requests).build();
    }

    @Bean
    Films films(RestClient opusCine) {
        return HttpServiceProxyFactory.builderFor(RestClientAdapter.create(opusCine)).build().createClient(Films.class);
    }
}
