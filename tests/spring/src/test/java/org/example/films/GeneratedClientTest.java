package org.example.films;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.util.List;

import org.example.films.generated.ApiClient;
import org.example.films.generated.api.HealthApi;
import org.example.films.generated.api.OttApi;
import org.example.films.generated.api.PopularApi;
import org.example.films.generated.api.RecommendApi;
import org.example.films.generated.model.HealthAnswer;
import org.example.films.generated.model.Movie;
import org.example.films.generated.model.OttLink;
import org.example.films.generated.model.Problem;
import org.example.films.generated.model.RecommendRequest;
import org.junit.jupiter.api.Test;
import org.springframework.web.client.RestClientResponseException;

/** A client that openapi-generator wrote from the document of the running service. */
class GeneratedClientTest {
    private static ApiClient client(String key) {
        var client = new ApiClient().setBasePath(Stage.URL);
        client.setApiKey(key);
        return client;
    }

    @Test
    void itRecommends() {
        var request = new RecommendRequest().message(Stage.unique("생성된 클라이언트")).limit(3).userId("viewer-3");
        var answer = new RecommendApi(client(Stage.KEY)).recommendMovies(request, null, "generated-1", "10000");
        assertThat(answer.getMovies()).extracting(Movie::getTitle).containsExactly("기생충");
        assertThat(answer.getTotalResults()).isEqualTo(1);
        assertThat(answer.getError()).isNull();
        assertThat(answer.getQueryInfo().getPagination().getLimit()).isEqualTo(3);
    }

    @Test
    void itFindsWhereATitleStreams() {
        var answer = new OttApi(client(Stage.KEY)).findOttOfMovie(496243L, "KR", null, null);
        assertThat(answer.getOttLinks()).extracting(OttLink::getProviderName).contains("Netflix");
        assertThat(answer.getMovieId()).isEqualTo(496243L);
    }

    @Test
    void itListsPopularFilmsAndReadsHealth() {
        assertThat(new PopularApi(client(Stage.KEY)).listPopularMovies(1, 5, null, null, null).getMovies()).hasSize(5);
        assertThat(new HealthApi(client(Stage.KEY)).getHealth(null, null).getStatus()).isEqualTo(HealthAnswer.StatusEnum.UP);
    }

    @Test
    void anErrorsBodyIsTheDocumentsProblem() {
        var error = catchThrowableOfType(RestClientResponseException.class,
                () -> new OttApi(client(Stage.KEY)).findOttOfMovies(List.of(0L), null, null, null));
        assertThat(error.getStatusCode().value()).isEqualTo(422);
        Problem problem = error.getResponseBodyAs(Problem.class);
        assertThat(problem.getCode()).isEqualTo("invalid_fields");
        assertThat(problem.getErrors()).isNotEmpty();
    }
}
