package org.example.films;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.micrometer.observation.Observation;
import io.micrometer.observation.ObservationRegistry;
import io.micrometer.tracing.Tracer;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.springframework.context.ConfigurableApplicationContext;

/** The code that docs/spring.md gives to copy, in an application of its own. */
class BackendTest {
    private static ConfigurableApplicationContext application;

    @BeforeAll
    static void start() {
        application = Stage.application();
    }

    @AfterAll
    static void stop() {
        application.close();
    }

    @Test
    void anInterfaceIsEnoughForTheCalls() {
        Films films = application.getBean(Films.class);
        Films.Answer answer = films.recommend(Stage.wish(Stage.unique("인터페이스")), 10_000);
        assertThat(answer.movies()).extracting(Films.Film::id).containsExactly(496243L);
        assertThat(answer.data().attribution()).isNotEmpty();
        Films.Links links = films.links(496243);
        assertThat(links.movieId()).isEqualTo(496243);
        assertThat(links.ottLinks()).extracting(Films.Link::link).allMatch(link -> link.startsWith("https://"));
        assertThat(links.error()).isNull();
    }

    @Test
    void anUnknownTitleHasNoLinksAndASentence() {
        Films.Links links = application.getBean(Films.class).links(987_654_321);
        assertThat(links.ottLinks()).isEmpty();
        assertThat(links.error()).isNotBlank();
    }

    @Test
    void theCallersDeadlineIsKeptWithAnAnswerFromTheCatalogue() {
        Films.Answer answer = application.getBean(Films.class).recommend(Stage.wish("[hang] 2019년 한국 스릴러"), 400);
        assertThat(answer.data().degraded()).isTrue();
        assertThat(answer.data().degradedReason()).isEqualTo("llm_timeout");
        assertThat(answer.movies()).isNotEmpty();
    }

    @Test
    void anErrorIsToldByItsCode() {
        FilmFinder finder = application.getBean(FilmFinder.class);
        assertThat(finder.find(Stage.unique("찾기"), "viewer-2").movies()).isNotEmpty();
        assertThatThrownBy(() -> finder.find("", "viewer-2")).hasMessageContaining("invalid_fields, request ");
    }

    @Test
    void aTraceThatBeganHereGoesOnAtTheModel() {
        Films films = application.getBean(Films.class);
        String message = Stage.unique("추적");
        var traceId = new AtomicReference<String>();
        Observation.createNotStarted("page", application.getBean(ObservationRegistry.class)).observe(() -> {
            traceId.set(application.getBean(Tracer.class).currentSpan().context().traceId());
            films.recommend(Stage.wish(message), 10_000);
        });
        assertThat(traceId.get()).hasSize(32);
        assertThat(Stage.questions(message)).extracting(Stage.Question::traceparent)
                .singleElement().asString().matches("00-" + traceId.get() + "-[0-9a-f]{16}-0[13]");
    }

    @Test
    void aStreamsTraceGoesOnTooThoughItIsWebClients() {
        FilmStream stream = application.getBean(FilmStream.class);
        String message = Stage.unique("흐르는 추적");
        var traceId = new AtomicReference<String>();
        Observation.createNotStarted("page", application.getBean(ObservationRegistry.class)).observe(() -> {
            traceId.set(application.getBean(Tracer.class).currentSpan().context().traceId());
            stream.recommend(Stage.wish(message)).blockLast();
        });
        assertThat(Stage.questions(message)).extracting(Stage.Question::traceparent)
                .singleElement().asString().contains(traceId.get());
    }
}
