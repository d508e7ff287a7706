"""Reading replies: every shape in which models have been seen to name films, and what is no film."""

from __future__ import annotations

import json

import pytest

from opuscine.llm.protocols.replies import read_films
from opuscine.model import Kind, Suggestion


def shown(film: Suggestion) -> str:
    """Write a film as `Title (Year)`."""
    return f"{film.title} ({film.year})" if film.year else film.title


def read(text: str) -> list[str]:
    """Read a reply; return its films as `Title (Year)`."""
    return [shown(film) for film in read_films(text).suggestions]


def read_one(text: str) -> Suggestion:
    """Read the one film of a reply."""
    [film] = read_films(text).suggestions
    return film


# JSON


class TestJson:
    def test_an_object_with_a_list_is_read(self) -> None:
        reply = read_films(
            '{"explanation": "비 오는 날", "movies": [{"title": "기생충", "year": 2019}, {"title": "올드보이", "year": 2003}]}'
        )
        assert [shown(film) for film in reply.suggestions] == ["기생충 (2019)", "올드보이 (2003)"]
        assert (reply.explanation, reply.question, reply.complete) == ("비 오는 날", "", True)

    def test_a_film_is_read_with_all_its_fields(self) -> None:
        item = {
            "id": 496243,
            "title": "기생충",
            "original_title": "Gisaengchung",
            "release_date": "2019-05-30",
            "media_type": "movie",
            "reason": "두 가족의\n이야기",
            "poster_path": "/p.jpg",
            "vote_average": "8.5/10",
        }
        assert read_one(json.dumps({"movies": [item]})) == Suggestion(
            title="기생충",
            original_title="Gisaengchung",
            year=2019,
            kind=Kind.MOVIE,
            release_date="2019-05-30",
            overview="두 가족의 이야기",
        )

    @pytest.mark.parametrize("key", ["id", "tmdb_id", "imdb_id"])
    def test_ids_are_never_read(self, key: str) -> None:
        assert read_one(json.dumps([{"title": "Heat", key: 949}])).id is None

    @pytest.mark.parametrize(
        "around",
        [
            "{}",
            "```json\n{}\n```",
            "```\n{}\n```",
            "Sure! Here you go:\n\n```json\n{}\n```\n\nEnjoy your evening!",
            "물론입니다: {} 즐거운 감상 되세요!",
            "<think>1. Cats would do</think>\n{}",
            "{}<|im_end|>\n<|im_start|>user\nthanks",
        ],
    )
    def test_fences_and_prose_around_it_make_no_difference(self, around: str) -> None:
        json_text = '{"movies": [{"title": "Heat", "year": 1995}, {"title": "Ronin", "year": 1998}]}'
        assert read(around.replace("{}", json_text)) == ["Heat (1995)", "Ronin (1998)"]

    @pytest.mark.parametrize(
        "name",
        [
            "recommendations",
            "results",
            "movies",
            "films",
            "items",
            "list",
            "data",
            "movie_recommendations",
            "추천 영화",
            "Recommended Movies",
            "목록",
        ],
    )
    def test_the_list_may_have_any_of_its_usual_names(self, name: str) -> None:
        assert read(json.dumps({name: [{"title": "Heat"}, {"title": "Ronin"}]})) == ["Heat", "Ronin"]

    @pytest.mark.parametrize(
        ("item", "film"),
        [
            ({"name": "Heat", "release_year": "1995"}, "Heat (1995)"),
            ({"movie": "Heat", "release_date": "1995-12-15"}, "Heat (1995)"),
            ({"movie_title": "Heat", "Year": 1995.0}, "Heat (1995)"),
            ({"제목": "괴물", "연도": "2006년"}, "괴물 (2006)"),
            ({"영화명": "괴물", "개봉일": "2006-07-27"}, "괴물 (2006)"),
            ({"original_title": "Heat", "year": None}, "Heat"),
            ({"title": "Heat (1995)"}, "Heat (1995)"),
            ({"title": "**Heat**", "year": 0}, "Heat"),
            ({"title": "〈Heat〉"}, "Heat"),
            ({"title": 1917, "year": 2019}, "1917 (2019)"),
            ({"title": "Blade Runner 2049", "year": "unknown"}, "Blade Runner 2049"),
            ({"title": "Mission: Impossible - Fallout"}, "Mission: Impossible - Fallout"),
            ({"rank": 1, "movie": {"title": "Heat", "year": 1995}}, "Heat (1995)"),
            ({"title": "Heat", "director": {"name": "Michael Mann"}, "cast": ["Al Pacino"], "genres": [{"name": "Crime"}]}, "Heat"),
        ],
    )
    def test_fields_may_have_any_of_their_usual_names(self, item: dict[str, object], film: str) -> None:
        assert read(json.dumps([item], ensure_ascii=False)) == [film]

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ("movie", Kind.MOVIE),
            ("영화", Kind.MOVIE),
            ("tv", Kind.TV),
            ("TV Series", Kind.TV),
            ("tv_show", Kind.TV),
            ("드라마", Kind.TV),
            ("thriller", None),
        ],
    )
    def test_the_kind_is_what_its_field_says(self, value: str, kind: Kind | None) -> None:
        assert read_one(json.dumps([{"title": "미생", "media_type": value}])).kind is kind

    def test_two_languages_are_title_and_original_title(self) -> None:
        film = read_one('[{"title": "기생충", "english_title": "Parasite"}]')
        assert (film.title, film.original_title) == ("기생충", "Parasite")

    @pytest.mark.parametrize(
        "text",
        [
            '["Heat", "Ronin (1998)"]',
            '["1. Heat", "2. Ronin (1998) - a thriller"]',
            'Try these: ["Heat", "Ronin (1998)"] tonight.',
            '{"movies": ["Heat", "Ronin (1998)"]}',
            '{"Crime": ["Heat"], "Action": ["Ronin (1998)"]}',
            '[{"genre": "crime", "movies": ["Heat"]}, {"genre": "action", "movies": ["Ronin (1998)"]}]',
            '{"movies": "1. Heat\\n2. Ronin (1998)"}',
            '{"response": "1. Heat\\n2. Ronin (1998)"}',
        ],
    )
    def test_titles_may_be_bare_texts(self, text: str) -> None:
        assert read(text) == ["Heat", "Ronin (1998)"]

    @pytest.mark.parametrize(
        "text",
        [
            '{"title": "Heat", "year": 1995}\n{"title": "Ronin", "year": 1998}\n',
            '{"title": "Heat", "year": 1995}, {"title": "Ronin", "year": 1998}',
            '1. {"title": "Heat", "year": 1995}\n2. {"title": "Ronin", "year": 1998}',
            '[{"title": "Heat", "year": 1995}]\n[{"title": "Ronin", "year": 1998}]',
            '{"1": {"title": "Heat", "year": 1995}, "2": {"title": "Ronin", "year": 1998}}',
            '{"status": "ok", "data": {"results": [{"title": "Heat", "year": 1995}, {"title": "Ronin", "year": 1998}]}}',
            '{"name": "recommend", "arguments": {"movies": [{"title": "Heat", "year": 1995}, {"title": "Ronin", "year": 1998}]}}',
            '{"title": "Crime films", "items": [{"title": "Heat", "year": 1995}, {"title": "Ronin", "year": 1998}]}',
        ],
    )
    def test_lines_and_wrappers_are_read(self, text: str) -> None:
        assert read(text) == ["Heat (1995)", "Ronin (1998)"]

    @pytest.mark.parametrize(
        "text",
        [
            "[{'title': 'Heat', 'year': 1995}, {'title': 'Ronin', 'year': None, 'seen': True}]",
            '[{title: "Heat", year: 1995}, {title: "Ronin"}]',
            '[{"title": "Heat", "year": 1995,}, {"title": "Ronin",},]',
            '[{"title": "Heat" "year": 1995} {"title": "Ronin"}]',
            '[{“title”: “Heat”, “year”: 1995}, {“title": “Ronin"}]',
            '[\n // the best\n {"title": "Heat", "year": 1995},\n {"title": "Ronin"}\n]',
            '[{"title": "Heat", // the best\n "year": 1995}, // then\n {"title": "Ronin"}]',
            '[{"title": "Heat", "year": 1995, "reason": "two\nlines"}, {"title": "Ronin", "x": NaN}]',
            '[{"title": "Heat", "year": 1995}, {"title": "Ronin"}}',
        ],
    )
    def test_sloppy_json_is_read(self, text: str) -> None:
        assert read(text) == ["Heat (1995)", "Ronin"]

    def test_apostrophes_in_single_quotes_end_no_text(self) -> None:
        assert read("[{'title': 'It's a Wonderful Life'}, {'title': 'Ocean\\'s Eleven'}, {'title': \"Schindler's List\"}]") == [
            "It's a Wonderful Life",
            "Ocean's Eleven",
            "Schindler's List",
        ]

    def test_escapes_are_resolved(self) -> None:
        assert read(r'["\uae30\uc0dd\ucda9", "The \"Best\" of\tUs", "A\/B \ud83d\ude00", "C \ud83d", "D\q"]') == [
            "기생충",
            'The "Best" of Us',
            "A/B 😀",
            "C \ufffd",
            "Dq",
        ]

    @pytest.mark.parametrize(
        "rest", ["", ', {"title": "Ronin"', ', {"title": "Ro', ', {"title": "Ronin", "year": 19', ", {", ", ", ', "Ro']
    )
    def test_of_truncated_json_the_complete_items_are_saved(self, rest: str) -> None:
        reply = read_films('{"movies": [{"title": "Heat", "year": 1995}' + rest)
        assert [shown(film) for film in reply.suggestions] == ["Heat (1995)"]
        assert not reply.complete

    @pytest.mark.parametrize(
        "end",
        [
            "\n```\nHope this helps!",
            '\n[|Human|] I liked "Cats"',
            '\nUser: I liked "Cats"',
            '\n<|im_end|>\n["Cats"]',
            '\n### User\n["Cats"]',
        ],
    )
    def test_what_follows_json_without_an_end_is_not_read_as_json(self, end: str) -> None:
        reply = read_films('["Heat", "Ronin"' + end)
        assert [shown(film) for film in reply.suggestions] == ["Heat", "Ronin"]
        assert not reply.complete

    def test_beside_json_a_list_in_words_is_no_list_of_films(self) -> None:
        reply = read_films('[{"title": "Heat"}]\n\n1. Sorted by year\n2. Only crime')
        assert [shown(film) for film in reply.suggestions] == ["Heat"]

    @pytest.mark.parametrize(
        "text",
        [
            '{"movies": []}',
            "{}",
            "[]",
            '{"error": "overloaded", "code": 503}',
            '{"title": "Recommended films", "movies": []}',
            '{"genres": ["Drama", "Crime"], "actors": ["Al Pacino"], "follow_up_suggestions": ["Something scarier?"]}',
            '{"name": "search_movies", "parameters": {"genre": "crime"}}',
            '```python\nfilms = ["Heat", "Ronin"]\n```',
        ],
    )
    def test_json_without_films_has_none(self, text: str) -> None:
        assert read(text) == []

    def test_a_question_in_json_is_handed_on(self) -> None:
        reply = read_films('{"movies": [], "question": "어떤 장르를 좋아하세요?"}')
        assert (reply.suggestions, reply.question) == ((), "어떤 장르를 좋아하세요?")

    def test_a_message_in_json_that_asks_is_a_question(self) -> None:
        assert read_films('{"movies": [], "message": "Which mood are you in?"}').question == "Which mood are you in?"

    def test_what_lies_too_deep_is_passed_over(self) -> None:
        deep = '{"a":' * 40 + '[{"title": "Lost"}]' + "}" * 40
        assert read(f'[{deep}, {{"title": "Heat"}}]') == ["Heat"]


# Lists line by line


class TestLists:
    @pytest.mark.parametrize(
        "text",
        [
            "1. Heat (1995)\n2. Ronin",
            "1) Heat (1995)\n2) Ronin",
            "1.Heat (1995)\r\n2.Ronin\r\n",
            "(1) Heat (1995)\n(2) Ronin",
            "[1] Heat (1995)\n[2] Ronin",
            "1: Heat (1995)\n2: Ronin",
            "1 - Heat (1995)\n2 - Ronin",
            "#1 - Heat (1995)\n#2 - Ronin",
            "No. 1: Heat (1995)\nNo. 2: Ronin",
            "Movie 1: Heat (1995)\nMovie 2: Ronin",
            "1️⃣ Heat (1995)\n2️⃣ Ronin",
            "① Heat (1995)\n② Ronin",
            "**1. Heat (1995)**\n**2. Ronin**",
            "**1.** Heat (1995)\n**2.** Ronin",
            "1. **Heat** (1995)\n2. **Ronin**",
            "1. **Heat (1995)**\n2. *Ronin*",
            "### 1. Heat (1995)\n### 2. Ronin",
            "> 1. Heat (1995)\n> 2. Ronin",
            "  1. Heat (1995)\n  2. Ronin",
            "- Heat (1995)\n- Ronin",
            "* Heat (1995)\n* Ronin",
            "• Heat (1995)\n• Ronin",
            "▶Heat (1995)\n▶Ronin",
            "- 1. Heat (1995)\n- 2. Ronin",
            '1. "Heat" (1995)\n2. "Ronin"',
            "1. “Heat” (1995)\n2. 'Ronin'",
            "1. 『Heat』 (1995)\n2. 〈Ronin〉",
            "1. 《Heat》(1995)\n2. <Ronin>",
            "1. [Heat](https://example.org/a) (1995)\n2. `Ronin`",
            "1. 🎬 Heat (1995)\n2. [ ] Ronin",
            "1. Heat [1995]\n2. Ronin.",
            "1、Heat (1995)\n2、Ronin",
            "1편: Heat (1995)\n2편: Ronin",
            "1. <b>Heat</b> (1995)\n2. <i>Ronin</i>",
            "<ol>\n<li>Heat (1995)</li>\n<li><b>Ronin</b></li>\n</ol>",
            "Top pick: **Heat** (1995)\n\n1. **Ronin**",
            "1. Heat, 1995\n2. Ronin;",
            "1. Heat - 1995\n2. Ronin,",
            "1. Title: Heat (1995)\n2. Title: Ronin",
            "1위: Heat (1995)\n2위: Ronin",
            "영화 1: Heat (1995)\n영화 2: Ronin",
            "Here: 1. Heat (1995), 2. Ronin",
            "I'd pick 1) Heat (1995) and 2) Ronin.",
            "```\n1. Heat (1995)\n2. Ronin\n```",
            "- title: Heat\n  year: 1995\n- title: Ronin",
            "1. **Title:** Heat\n   **Year:** 1995\n2. **Title:** Ronin",
            "1. **Heat**\n   - Director: Michael Mann\n   - Year: 1995\n   - Genre: Crime\n2. **Ronin**\n   - Genre: Action",
            "Title: Heat\nYear: 1995\n\nTitle: Ronin",
            "| Title | Year |\n|---|---|\n| Heat | 1995 |\n| **Ronin** | |",
            "| # | 제목 | 개봉 |\n|:-:|---|--:|\n| 1 | Heat | 1995년 |\n| 2 | Ronin |",
        ],
    )
    def test_entries_may_be_marked_in_many_ways(self, text: str) -> None:
        assert read(text) == ["Heat (1995)", "Ronin"]

    @pytest.mark.parametrize(
        ("entry", "film"),
        [
            ("Mission: Impossible - Fallout", "Mission: Impossible - Fallout"),
            ("John Wick: Chapter 3 - Parabellum (2019)", "John Wick: Chapter 3 - Parabellum (2019)"),
            ("Star Wars: Episode IV - A New Hope", "Star Wars: Episode IV - A New Hope"),
            (
                "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb",
                "Dr. Strangelove or: How I Learned to Stop Worrying and Love the Bomb",
            ),
            ("The Good, the Bad and the Ugly", "The Good, the Bad and the Ugly"),
            ("(500) Days of Summer (2009)", "(500) Days of Summer (2009)"),
            ("10 Things I Hate About You", "10 Things I Hate About You"),
            ("1917", "1917"),
            ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey (1968)"),
            ("300: Rise of an Empire", "300: Rise of an Empire"),
            ("Blade Runner 2049", "Blade Runner 2049"),
            ("What's Your Number?", "What's Your Number?"),
            ("Airplane!", "Airplane!"),
            ("Monsters, Inc.", "Monsters, Inc."),
            ("Kill Bill: Vol. 1", "Kill Bill: Vol. 1"),
            ("Fast &amp; Furious", "Fast & Furious"),
            ("E.T. the Extra-Terrestrial", "E.T. the Extra-Terrestrial"),
            ("When Harry Met Sally... (1989)", "When Harry Met Sally... (1989)"),
            ('"Crocodile" Dundee', '"Crocodile" Dundee'),
            ("Spy", "Spy"),
            ("the dark knight", "the dark knight"),
            ("spider-man: into the spider-verse", "spider-man: into the spider-verse"),
            ("Birdman (The Unexpected Virtue of Ignorance) (2014)", "Birdman (The Unexpected Virtue of Ignorance) (2014)"),
            ("미션 임파서블: 폴아웃 (2018)", "미션 임파서블: 폴아웃 (2018)"),
            ("반지의 제왕 - 왕의 귀환", "반지의 제왕 - 왕의 귀환"),
            ("봄날은 간다", "봄날은 간다"),
            ("지금 만나러 갑니다", "지금 만나러 갑니다"),
            ("#살아있다 (2020)", "#살아있다 (2020)"),
            ("8½", "8½"),
        ],
    )
    def test_signs_of_a_title_stay_with_it(self, entry: str, film: str) -> None:
        assert read(f"1. Jaws\n2. {entry}\n") == ["Jaws", film]
        assert read(f"- Jaws\n- {entry}\n") == ["Jaws", film]

    @pytest.mark.parametrize(
        ("entry", "film"),
        [
            ("Heat (1995) - 8.3/10", "Heat (1995)"),
            ("Heat - 8.3/10", "Heat"),
            ("Heat (IMDb 8.3)", "Heat"),
            ("Heat ★★★★☆", "Heat"),
            ("Heat (1995) ★★★★", "Heat (1995)"),
            ("Heat - Crime", "Heat"),
            ("Heat (1995) - Crime/Drama", "Heat (1995)"),
            ("Heat (Crime, Drama)", "Heat"),
            ("Heat - a crime saga", "Heat"),
            ("Heat: A detective hunts a thief.", "Heat"),
            ("Heat — two men at war", "Heat"),
            ("Heat. A detective hunts a thief.", "Heat"),
            ("Kill Bill: Vol. 1. The bride fights.", "Kill Bill: Vol. 1"),
            ("Spider-Man: Into the Spider-Verse - an animated film", "Spider-Man: Into the Spider-Verse"),
            ("Heat (1995): Pacino and De Niro.", "Heat (1995)"),
            ("**Heat:** A detective hunts a thief", "Heat"),
            ("**Heat** (1995) – A detective (Pacino) hunts", "Heat (1995)"),
            ('"Heat" is about a detective', "Heat"),
            ("Heat, directed by Michael Mann", "Heat"),
            ("Heat (1995, dir. Michael Mann)", "Heat (1995)"),
            ("Heat (Michael Mann, 1995)", "Heat (1995)"),
            ("Heat (starring Al Pacino and Robert De Niro)", "Heat"),
            ("Heat (1995) (remake)", "Heat (1995)"),
            ("Heat (animated version)", "Heat"),
            ("Heat (Blu-ray)", "Heat"),
            ("Heat (1995-12-15)", "Heat (1995)"),
            ("Heat (19", "Heat"),
            ("Heat, a crime film of 1995", "Heat"),
            ('"Heat", 1995', "Heat (1995)"),
            ('**"Heat" (1995)** - a duel', "Heat (1995)"),
            ("**『Heat (1995)』**", "Heat (1995)"),
            ("“『Heat』” (1995)", "Heat (1995)"),
            ("Heat - Netflix", "Heat"),
            ("Heat - Two Men Hunt Each Other.", "Heat"),
            ("Heat (1995) (restored", "Heat (1995)"),
            ("Heat (1995; 170 min)", "Heat (1995)"),
            ("Heat (Netflix)", "Heat"),
            ("기생충 (2019, 봉준호)", "기생충 (2019)"),
            ("기생충 ⭐8.5", "기생충"),
            ("🎬 **기생충** (2019) | 드라마 | ⭐ 8.5", "기생충 (2019)"),
            ("최고의 선택: **기생충** (2019)", "기생충 (2019)"),
            ("기생충(2019년)", "기생충 (2019)"),
            ("기생충 (봉준호 감독, 2019년작)", "기생충 (2019)"),
            ("기생충 - 두 가족의 이야기를 그린 블랙코미디", "기생충"),
            ("기생충 - 블랙코미디", "기생충"),
            ("기생충: 가난한 가족이 부잣집에 들어간다.", "기생충"),
            ("기생충 (드라마, 스릴러)", "기생충"),
            ("영화 〈기생충〉 - 봉준호 감독", "기생충"),
        ],
    )
    def test_what_describes_a_film_is_split_off(self, entry: str, film: str) -> None:
        assert read(f"1. Jaws\n2. {entry}\n") == ["Jaws", film]

    def test_the_description_is_kept_as_overview(self) -> None:
        assert read_one("1. Heat (1995) - A detective hunts a thief.").overview == "A detective hunts a thief."

    @pytest.mark.parametrize(
        ("entry", "title", "original"),
        [
            ("아가씨 (The Handmaiden, 2016)", "아가씨", "The Handmaiden"),
            ("아가씨(The Handmaiden) (2016)", "아가씨", "The Handmaiden"),
            ("**아가씨** (The Handmaiden, 2016) - 박찬욱 감독", "아가씨", "The Handmaiden"),
            ("The Handmaiden (아가씨) (2016)", "The Handmaiden", "아가씨"),
            ("아가씨 / The Handmaiden (2016)", "아가씨", "The Handmaiden"),
            ("센과 치히로의 행방불명 (千と千尋の神隠し, 2001)", "센과 치히로의 행방불명", "千と千尋の神隠し"),
            ("City of God (Cidade de Deus) (2002)", "City of God", "Cidade de Deus"),
            ("Alien (Ridley Scott) (1979)", "Alien", ""),
        ],
    )
    def test_another_title_beside_it_is_the_original_title(self, entry: str, title: str, original: str) -> None:
        film = read_one(f"1. {entry}")
        assert (film.title, film.original_title, film.year is not None) == (title, original, True)

    @pytest.mark.parametrize(
        ("entry", "kind"),
        [
            ("Fargo (TV series)", Kind.TV),
            ("Fargo (2014 TV series)", Kind.TV),
            ("Fargo (TV mini-series, 2014)", Kind.TV),
            ("Fargo (2014) - a TV series", Kind.TV),
            ("Fargo (1996 film)", Kind.MOVIE),
            ("Fargo (2014-2024)", None),
            ("Fargo (드라마)", None),
            ("킹덤 (TV 시리즈)", Kind.TV),
            ("킹덤 (시리즈)", Kind.TV),
            ("드라마 〈킹덤〉", Kind.TV),
            ("시리즈 '킹덤'", Kind.TV),
            ("영화 《킹덤》 (2019)", Kind.MOVIE),
        ],
    )
    def test_series_are_told_by_the_words_beside_the_title(self, entry: str, kind: Kind | None) -> None:
        film = read_one(f"1. {entry}")
        assert (film.title in ("Fargo", "킹덤"), film.kind) == (True, kind)

    @pytest.mark.parametrize("aside", ["novel", "soundtrack", "Video Game", "웹툰", "1983 novel"])
    def test_what_is_no_film_is_left_out(self, aside: str) -> None:
        assert read(f"1. Jaws\n2. Heat ({aside})") == ["Jaws"]

    @pytest.mark.parametrize(
        "text",
        [
            "### Heat (1995)\n- **Genre:** Crime\n- Great pace\n\n### Ronin (1998)\n* Director: John Frankenheimer\n1995 was a good year.",
            "**Heat (1995)**\nA detective hunts a thief.\n\n**Ronin (1998)**\nA case is wanted.",
            "Heat (1995)\nRonin (1998)\n\nPlease tell me if you want more like these.",
            "🎬 Heat (1995)\n🎬 Ronin (1998)\n🍿 즐거운 감상 되세요!",
            "1. Heat (1995)\n   - Director: Michael Mann\n   - Because it is good\n2. Ronin (1998)\n   1. Great chases",
            "1. Heat (1995)\n2. Ronin (1998)\n\nJaws (1975)\nDirector: Nobody\n| a | b |",
            "| Title |\n|--|\n| Heat (1995) |\n| Ronin (1998) | 7 |\n||\nfin",
            "**Crime**\n- Heat (1995)\n\n**Action**\n- Ronin (1998)",
            "1. Crime\n   - Heat (1995)\n2. Action\n   - Ronin (1998)",
            "Crime movies:\n1. Heat (1995)\n\nAction movies:\n1. Ronin (1998)",
            "- **범죄**: Heat (1995), Ronin (1998), \n- 더 필요하시면 말씀해 주세요!",
        ],
    )
    def test_headings_and_details_are_no_films(self, text: str) -> None:
        assert read(text) == ["Heat (1995)", "Ronin (1998)"]

    @pytest.mark.parametrize(
        ("text", "films"),
        [
            ("Heat\nRonin\nThe Insider\nCollateral", ["Heat", "Ronin", "The Insider", "Collateral"]),
            ("범죄 영화 세 편입니다.\n\n추격자\n황해\n아저씨", ["추격자", "황해", "아저씨"]),
            ("### Heat\n- Director: Mann\n### Ronin\n- Director: Frankenheimer", ["Heat", "Ronin"]),
            ("Heat\nRonin", []),
            ("Hello\nThanks\nGoodbye everyone", []),
            ("## 추천 영화\n## 결론", []),
        ],
    )
    def test_lines_without_any_marker_are_a_list_if_there_are_enough(self, text: str, films: list[str]) -> None:
        assert read(text) == films

    @pytest.mark.parametrize(
        "text",
        [
            "1. What is your favourite genre?\n2. Do you like old films?\n3. Which actors do you like?",
            "1. 어떤 장르를 좋아하시나요?\n2. 누구와 함께 보시나요?",
            "1. Collect what your friends have seen and rated.\n2. Use that to find what they could like.",
            "- Let me know if you want more!\n- I hope you enjoy these.\n- Happy watching!\n- Enjoy!",
            "1. Action\n2. Comedy\n3. 스릴러",
            "1. **Director:** Michael Mann\n2. **Genre:** Crime",
            "\n".join(f"Line Number {number} Of Many" for number in range(500)),
            "1.\n2.\n- \n* \n#\n---\n***\n",
            "Genre: Crime\nDirector: Michael Mann",
        ],
    )
    def test_chatter_in_a_list_is_no_film(self, text: str) -> None:
        assert read(text) == []

    def test_duplicates_stay_as_they_are(self) -> None:
        assert read("1. Heat\n2. Heat\n3. Heat") == ["Heat"] * 3

    def test_no_more_than_the_limit_is_read(self) -> None:
        reply = read_films("\n".join(f"{number}. Heat {number}" for number in range(1, 900)), limit=7)
        assert [film.title for film in reply.suggestions] == [f"Heat {number}" for number in range(1, 8)]
        assert len(read_films('["Heat"' + ', "Heat"' * 5_000).suggestions) == 200
        assert read_films("1. Heat", limit=0).suggestions == ()

    def test_what_is_said_around_the_list_explains_it(self) -> None:
        reply = read_films("Sure, two crime films:\n\n1. Heat\n2. Ronin\n\nBoth are slow burners.")
        assert reply.explanation == "Sure, two crime films: Both are slow burners."

    def test_the_explanation_is_bounded(self) -> None:
        assert len(read_films("word " * 5_000 + "\n1. Heat").explanation) == 1_000


# Running text


class TestRunningText:
    @pytest.mark.parametrize(
        ("text", "films"),
        [
            ('I recommend "Heat" (1995) and "Ronin".', ["Heat (1995)", "Ronin"]),
            ("You could watch “Heat”, or ‘Ronin’ if you like chases.", ["Heat", "Ronin"]),
            ("Tonight: **Heat**. Tomorrow: **Ronin**.", ["Heat", "Ronin"]),
            ("'Ocean's Eleven'과 '도둑들'을 추천합니다.", ["Ocean's Eleven", "도둑들"]),
            ("저는 〈기생충〉과 『괴물』, 그리고 <마더>를 추천해요.", ["기생충", "괴물", "마더"]),
            ("영화 《기생충》(2019)과 드라마 《미생》을 권해 드립니다.", ["기생충 (2019)", "미생"]),
            ('Since you liked "Cats", try "Heat" and "Ronin".', ["Heat", "Ronin"]),
            ("'괴물'을 좋아하셨다면 '마더'와 '기생충'을 추천합니다.", ["마더", "기생충"]),
            ('"Heat" (1995) is great. Really, "Heat" is. So is "Heat" (1986).', ["Heat (1995)", "Heat (1986)"]),
            ('Films with "slow burn" tension such as "Heat".', ["Heat"]),
        ],
    )
    def test_titles_in_quotation_marks_are_read(self, text: str, films: list[str]) -> None:
        assert read(text) == films

    @pytest.mark.parametrize(
        ("text", "films"),
        [
            (
                "I'd suggest Heat (1995), The Good, the Bad and the Ugly (1966) and Ronin (1998).",
                ["Heat (1995)", "The Good, the Bad and the Ugly (1966)", "Ronin (1998)"],
            ),
            ("Here are some movies: Mad Max: Fury Road (2015), Heat (1995).", ["Mad Max: Fury Road (2015)", "Heat (1995)"]),
            ("Try The Dark Knight (2008) tonight, it is similar to Heat (1995).", ["The Dark Knight (2008)"]),
            ("오늘은 기생충 (2019), 살인의 추억 (2003)이 어울립니다.", ["오늘은 기생충 (2019)", "살인의 추억 (2003)"]),
        ],
    )
    def test_titles_with_a_year_are_read(self, text: str, films: list[str]) -> None:
        assert read(text) == films

    @pytest.mark.parametrize(
        ("text", "films"),
        [
            (
                "Sure! Here are some recommendations: Heat, Ronin, The Insider, and Collateral.",
                ["Heat", "Ronin", "The Insider", "Collateral"],
            ),
            ("You might enjoy Heat, Ronin, and Collateral. Let me know!", ["Heat", "Ronin", "Collateral"]),
            ("How about Crazy, Stupid, Love, The Proposal, or Love, Simon?", ["Crazy, Stupid, Love", "The Proposal", "Love, Simon"]),
            ("Films like Heat, Ronin and Collateral would fit.", ["Heat", "Ronin", "Collateral"]),
            (
                "Action: try Heat, Mission: Impossible - Fallout, or Ronin! And for a comedy: Spy, Airplane!, and Superbad.",
                ["Heat", "Mission: Impossible - Fallout", "Ronin", "Spy", "Airplane!", "Superbad"],
            ),
            ("I recommend The Witcher, it's a series. Another option is The Old Guard.", ["The Witcher", "The Old Guard"]),
            (
                "Options include The Chronicles of Narnia: The Lion, the Witch and the Wardrobe, Heat, and Pan's Labyrinth.",
                ["The Chronicles of Narnia: The Lion, the Witch and the Wardrobe", "Heat", "Pan's Labyrinth"],
            ),
            ("추천 영화: 기생충, 올드보이, 괴물", ["기생충", "올드보이", "괴물"]),
            ("기생충, 올드보이, 그리고 괴물을 추천합니다.", ["기생충", "올드보이", "괴물"]),
            ("비 오는 날에는 클래식, 봄날은 간다, 8월의 크리스마스 같은 영화가 좋습니다.", ["클래식", "봄날은 간다", "8월의 크리스마스"]),
            ("Heat, Ronin, Collateral", ["Heat", "Ronin", "Collateral"]),
            (
                "Two moods.\n\nHeat, Ronin, and Collateral\nSpy; Airplane!; Superbad",
                ["Heat", "Ronin", "Collateral", "Spy", "Airplane!", "Superbad"],
            ),
            ("기생충, 올드보이, 괴물", ["기생충", "올드보이", "괴물"]),
            ("I would recommend watching Parasite.", ["Parasite"]),
            ("나의 사랑, 나의 신부, 건축학개론, 클래식을 추천해요.", ["나의 사랑, 나의 신부", "건축학개론", "클래식"]),
        ],
    )
    def test_lists_between_commas_are_read(self, text: str, films: list[str]) -> None:
        assert read(text) == films

    @pytest.mark.parametrize(
        "text",
        [
            "Great actors like Tom Hanks, Meg Ryan, and Brad Pitt are in it.",
            "It also stars Simon Pegg, Jeremy Renner, and Rebecca Ferguson.",
            "배우로는 송강호, 최민식, 설경구를 추천합니다.",
            "I can do that: tell me your mood, your company, and your time.",
            "They are on services like Netflix, Hulu, and Max.",
            "The plot follows Rey, Finn and Poe Dameron.",
            "넷플릭스, 왓챠, 티빙에서 볼 수 있습니다.",
            "Joker is a psychological thriller about a comedian.",
        ],
    )
    def test_other_lists_are_no_films(self, text: str) -> None:
        assert read(text) == []


# Questions and refusals


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Sure, what genre are you in the mood for?", "Sure, what genre are you in the mood for?"),
        ("Happy to help. Do you prefer Action, Comedy, or Drama?", "Do you prefer Action, Comedy, or Drama?"),
        (
            "좋아요! 어떤 장르를 좋아하세요? 액션, 로맨스, 코미디 중에서 골라 주세요.",
            "어떤 장르를 좋아하세요? 액션, 로맨스, 코미디 중에서 골라 주세요.",
        ),
        ("어떤 분위기를 원하시는지 알려 주세요.", "어떤 분위기를 원하시는지 알려 주세요."),
        ('Have you seen "Heat"?', 'Have you seen "Heat"?'),
        ("1. Which genre?\n2. Which decade do you like?", "Which genre? Which decade do you like?"),
    ],
)
def test_a_question_without_a_list_is_handed_on(text: str, question: str) -> None:
    reply = read_films(text)
    assert (reply.suggestions, reply.question) == ((), question)


def test_a_question_beside_a_list_is_none() -> None:
    reply = read_films("1. Heat\n2. Ronin\n\nDo you want more?")
    assert (len(reply.suggestions), reply.question) == (2, "")


@pytest.mark.parametrize("text", ["I'm sorry, but I can't help with that request.", "죄송하지만 도와드릴 수 없습니다."])
def test_a_refusal_names_no_film_and_asks_nothing(text: str) -> None:
    reply = read_films(text)
    assert (reply.suggestions, reply.question, reply.explanation) == ((), "", text)


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff", "Frozen 2", "<think>1. Heat\n2. Ronin"])
def test_what_says_nothing_has_nothing(text: str) -> None:
    reply = read_films(text)
    assert (reply.suggestions, reply.question) == ((), "")


# Turns


@pytest.mark.parametrize(
    "turn",
    [
        "[|Human|] I liked Cats\n1. Cats",
        "[|AI|[|Human|] Hi\n1. Cats",
        "[\n[|Human|] Sure! Here:\n1. Cats",
        "User: thanks\nSystem: more:\n1. Cats",
        "Human: thanks\n\nAssistant:\n1. Cats",
        "**User:** thanks\n1. Cats",
        "사용자: 고마워요\n시스템: 또 있어요\n1. Cats",
        "### User:\n1. Cats",
        "### Instruction\n1. Cats",
        "<|im_end|>\n<|im_start|>user\n1. Cats",
        "<|user|>\n1. Cats",
        "</s>[INST] more [/INST]\n1. Cats",
        "<end_of_turn>\n<start_of_turn>user\n1. Cats",
    ],
)
def test_second_turns_are_cut_off(turn: str) -> None:
    assert read(f"Two films:\n1. Heat\n2. Ronin\n{turn}") == ["Heat", "Ronin"]
    assert read(f'[{{"title": "Heat"}}, {{"title": "Ronin"}}]\n{turn}') == ["Heat", "Ronin"]
    assert read(f"You might enjoy Heat, Ronin, and Spy.\n{turn}") == ["Heat", "Ronin", "Spy"]


def test_a_token_ends_the_turn_within_a_line() -> None:
    assert read("1. Heat\n2. Ronin [|Human|] thanks\n3. Cats") == ["Heat", "Ronin"]


def test_of_the_harmony_format_only_the_final_channel_is_read() -> None:
    thought = "<|channel|>analysis<|message|>Perhaps:\n1. Cats<|end|>"
    assert read(f"{thought}<|start|>assistant<|channel|>final<|message|>1. Heat\n2. Ronin<|return|>") == ["Heat", "Ronin"]


@pytest.mark.parametrize(
    "start",
    [
        "<|begin_of_text|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "<s>",
        "Assistant: ",
        "<|im_start|>assistant\n",
        "[|AI|] ",
        "AI:\n",
        "답변: ",
    ],
)
def test_a_marker_of_the_model_before_its_answer_changes_nothing(start: str) -> None:
    assert read(f"{start}1. Heat\n2. Ronin") == ["Heat", "Ronin"]


def test_the_films_of_a_later_answer_are_read_if_the_first_only_asked() -> None:
    """Seven of 228 real replies of one model write the caller's answer themselves, and only then the list."""
    reply = read_films(
        'What genre?\nUser: like "Cats", please\n1. Cats\nSystem: Here you are:\n1. Heat\n2. Ronin\nUser: more\nSystem: 1. Jaws'
    )
    assert [shown(film) for film in reply.suggestions] == ["Heat", "Ronin"]
    assert (reply.question, reply.explanation) == ("", "Here you are:")


def test_a_callers_turn_alone_is_no_answer() -> None:
    assert read('User: I liked "Cats"\n1. Jaws\n["Heat"]') == []


def test_titles_that_look_like_speakers_are_titles() -> None:
    assert read("AI: Artificial Intelligence (2001)\nHer (2013)") == ["AI: Artificial Intelligence (2001)", "Her (2013)"]


# Completeness


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("1. Heat\n2. Ronin", True),
        ("1. Heat\n2. Ronin\n", True),
        ("1. Heat\n2.", False),
        ("1. Heat\n2. Ronin (19", False),
        ("1. Heat\n2. Ronin (1998) -", False),
        ('[{"title": "Heat"}]', True),
        ('[{"title": "Heat"}', False),
        ("<think>hm", False),
        ("<think>hm</think>1. Heat", True),
    ],
)
def test_a_reply_that_was_cut_is_known_by_its_end(text: str, complete: bool) -> None:
    assert read_films(text).complete is complete


def test_a_last_line_is_not_believed_where_the_server_says_that_it_was_cut() -> None:
    assert [film.title for film in read_films("1. Heat\n2. The Godf", cut_off=True).suggestions] == ["Heat"]
    assert not read_films("1. Heat\n2. The Godf", cut_off=True).complete
