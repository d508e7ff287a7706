package org.example.films;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.springframework.web.client.RestClient;

/** RestClient on each of the clients that Spring puts it on. */
class ClientsTest {
    private static Films.Answer ask(RestClient client, String message) {
        return client.post().uri("/api/movies/recommend").body(Stage.wish(message)).retrieve().body(Films.Answer.class);
    }

    @ParameterizedTest
    @MethodSource("org.example.films.Stage#clients")
    void aRecommendationIsRead(String name) {
        Films.Answer answer = ask(Stage.client(name, Stage.URL), Stage.unique("가족이 나오는 영화"));
        assertThat(answer.success()).isTrue();
        assertThat(answer.data().source()).isEqualTo("llm");
        assertThat(answer.movies()).extracting(Films.Film::title).containsExactly("기생충");
        assertThat(answer.movies().get(0).ottLinks()).extracting(Films.Link::providerName).contains("Netflix");
    }

    @ParameterizedTest
    @MethodSource("org.example.films.Stage#clients")
    void aBodyWithoutItsLengthArrives(String name) throws Exception {
        try (Echo echo = new Echo()) {
            Stage.client(name, echo.url()).post().uri("/").body(Stage.wish("보낸다")).retrieve().toBodilessEntity();
            assertThat(echo.headers.getFirst("Content-Length")).isNull();
            assertThat(echo.headers.getFirst("Transfer-Encoding")).isEqualToIgnoringCase("chunked");
        }
        String message = Stage.unique("길이를 모르는 본문");
        assertThat(ask(Stage.client(name, Stage.URL), message + " " + "가".repeat(1000)).movies()).isNotEmpty();
        assertThat(Stage.questions(message)).hasSize(1);
    }

    @Test
    void theJdksOfferOfHttp2IsDeclinedAndItsBodyKept() throws Exception {
        try (Echo echo = new Echo()) {
            Stage.client("jdk", echo.url()).post().uri("/").body(Stage.wish("보낸다")).retrieve().toBodilessEntity();
            assertThat(echo.headers.getFirst("Upgrade")).isEqualTo("h2c");
        }
        String message = Stage.unique("업그레이드");
        assertThat(ask(Stage.client("jdk", Stage.URL), message).movies()).isNotEmpty();
        assertThat(Stage.questions(message)).hasSize(1);
    }

    @Test
    void aClientThatWaitsToBeToldToSendItsBodyIsTold() throws Exception {
        try (Echo echo = new Echo()) {
            Stage.client("expecting", echo.url()).post().uri("/").body(Stage.wish("보낸다")).retrieve().toBodilessEntity();
            assertThat(echo.headers.getFirst("Expect")).isEqualToIgnoringCase("100-continue");
        }
        String message = Stage.unique("기다림");
        assertThat(ask(Stage.client("expecting", Stage.URL), message).movies()).isNotEmpty();
        assertThat(Stage.questions(message)).hasSize(1);
    }

    @ParameterizedTest
    @MethodSource("org.example.films.Stage#clients")
    void threeHundredPacedPostsGoOverOneConnectionAndNoneFailsOrIsSentTwice(String name) {
        RestClient client = Stage.client(name, Stage.COUNTED_URL);
        String series = Stage.unique("연속");
        int before = Stage.connections();
        IntStream.range(0, 300).forEach(number -> {
            Films.Answer answer = ask(client, series + " #" + number);
            assertThat(answer.data().source()).isEqualTo("llm");
            pause(10);
        });
        assertThat(Stage.questions(series)).extracting(Stage.Question::message).hasSize(300).doesNotHaveDuplicates();
        assertThat(Stage.connections() - before).isEqualTo(1);
    }

    private static void pause(long milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }
}
