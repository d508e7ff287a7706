"""The words that the embedded recommender understands, in Korean and English. Facts only; how they are read is in `intent.py`.

A line of a table lists words of one meaning, separated by `|`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

V = TypeVar("V")
Order = Literal["relevance", "best", "newest", "popular"]


def by_word(table: Mapping[str, V]) -> dict[str, V]:
    """Spread a table of lines into one of words, longest word first, so that the longest is recognised."""
    spread = {word: value for line, value in table.items() for word in line.split("|")}
    return dict(sorted(spread.items(), key=lambda item: -len(item[0])))


# TMDB's genre numbers (https://developer.themoviedb.org/reference/genre-movie-list)
ACTION, ADVENTURE, ANIMATION, COMEDY, CRIME = 28, 12, 16, 35, 80
DOCUMENTARY, DRAMA, FAMILY, FANTASY, HISTORY = 99, 18, 10751, 14, 36
HORROR, MUSIC, MYSTERY, ROMANCE, SCIENCE_FICTION = 27, 10402, 9648, 10749, 878
TV_MOVIE, THRILLER, WAR, WESTERN, REALITY, TALK = 10770, 53, 10752, 37, 10764, 10767

GENRE_WORDS = by_word(
    {
        "액션|action": (ACTION,),
        "모험|어드벤처|adventure": (ADVENTURE,),
        "애니메이션|애니|만화영화|animation|animated|anime": (ANIMATION,),
        "코미디|코메디|comedy|comedies": (COMEDY,),
        "범죄|누아르|느와르|갱스터|crime|noir": (CRIME,),
        "다큐멘터리|다큐|documentary|documentaries": (DOCUMENTARY,),
        "드라마|drama|dramas": (DRAMA,),
        "가족|family": (FAMILY,),
        "판타지|fantasy": (FANTASY,),
        "역사|사극|시대극|history|historical": (HISTORY,),
        "공포|호러|horror": (HORROR,),
        "음악|뮤지컬|music|musical|musicals": (MUSIC,),
        "미스터리|추리|mystery|mysteries": (MYSTERY,),
        "로맨틱코미디|로맨틱 코미디|로코|romantic comedy|romcom|rom-com": (ROMANCE, COMEDY),
        "로맨스|로맨틱|멜로|romance|romantic": (ROMANCE,),
        "sf|에스에프|공상과학|sci-fi|scifi|science fiction": (SCIENCE_FICTION,),
        "스릴러|thriller|thrillers": (THRILLER,),
        "전쟁|war": (WAR,),
        "서부|서부극|웨스턴|western|westerns": (WESTERN,),
        "예능|reality": (REALITY, TALK),
        "tv 영화": (TV_MOVIE,),
    }
)


@dataclass(frozen=True, slots=True)
class Mood:
    """How a film should feel: genres that tend to, genres that do not, and the stems an overview says it with."""

    genres: tuple[int, ...]
    excluded: tuple[int, ...]
    words: tuple[str, ...]


LOUD = (ACTION, HORROR, THRILLER, CRIME, WAR, 10759, 10768)
MOOD_WORDS = by_word(
    {
        "잔잔|힐링|따뜻|따듯|감성|감동|위로|포근|편안|평화로|비 오는|비오는"
        "|calm|quiet|gentle|cozy|heartwarming|feel-good|feelgood|rainy day|rainy|relaxing|peaceful|soothing": Mood(
            (DRAMA, ROMANCE, FAMILY), LOUD, ("잔잔한", "따뜻한", "위로", "일상")
        ),
        "웃긴|웃기는|유쾌|신나는|재미난|개그|빵 터지|funny|hilarious|cheerful|lighthearted": Mood(
            (COMEDY,), (HORROR, WAR), ("웃음", "유쾌")
        ),
        "무서운|무섭|소름|오싹|귀신|좀비|scary|creepy|spooky|terrifying": Mood((HORROR, THRILLER), (FAMILY,), ("공포", "무서운")),
        "슬픈|눈물|우울|울고 싶|먹먹|sad|tearjerker|melancholic": Mood(
            (DRAMA, ROMANCE), (COMEDY, HORROR, ACTION), ("눈물", "슬픈", "이별")
        ),
        "긴장감|스릴|쫄깃|반전|몰입|tense|suspense|suspenseful|gripping|plot twist": Mood(
            (THRILLER, MYSTERY, CRIME), (FAMILY,), ("긴장", "추적", "반전")
        ),
        "사랑 이야기|사랑|연애|데이트|설레는|달달|첫사랑|love story|love|date night": Mood((ROMANCE,), (HORROR, WAR), ("사랑", "연애")),
        "아이들|아이와|아이랑|온 가족|부모님|어린이|kids|children|whole family": Mood(
            (FAMILY, ANIMATION), (HORROR, CRIME, WAR), ("가족", "아이")
        ),
    }
)

COUNTRY_WORDS = by_word(
    {
        "한국|국내|대한민국|korean|korea|south korea": "KR",
        "일본|japanese|japan": "JP",
        "미국|할리우드|헐리우드|헐리웃|american|hollywood|usa": "US",
        "영국|british|england|uk": "GB",
        "프랑스|french|france": "FR",
        "독일|german|germany": "DE",
        "이탈리아|italian|italy": "IT",
        "스페인|spanish|spain": "ES",
        "중국|chinese|china": "CN",
        "홍콩|hong kong": "HK",
        "대만|taiwanese|taiwan": "TW",
        "인도|발리우드|indian|india|bollywood": "IN",
        "태국|thai|thailand": "TH",
        "캐나다|canadian|canada": "CA",
        "호주|australian|australia": "AU",
        "멕시코|mexican|mexico": "MX",
        "브라질|brazilian|brazil": "BR",
        "스웨덴|swedish|sweden": "SE",
        "덴마크|danish|denmark": "DK",
        "러시아|russian|russia": "RU",
    }
)
COUNTRY_NAMES = dict(
    pair.split(":")
    for pair in (
        "KR:한국 JP:일본 US:미국 GB:영국 FR:프랑스 DE:독일 IT:이탈리아 ES:스페인 CN:중국 HK:홍콩 TW:대만 IN:인도 TH:태국 CA:캐나다 "
        "AU:호주 MX:멕시코 BR:브라질 SE:스웨덴 DK:덴마크 RU:러시아"
    ).split()
)
# Words that name a series and its country at once.
SERIES_OF = by_word({"한드|k드라마|k-드라마|kdrama|k-drama": "KR", "미드": "US", "일드": "JP", "중드": "CN", "영드": "GB"})

ORDER_WORDS: dict[str, Order] = by_word(
    {
        "명작|걸작|인생영화|인생 영화|최고의|최고|평점 높은|평점|수작|띵작": "best",
        "best|masterpiece|masterpieces|greatest|top rated|top|must-see|acclaimed": "best",
        "최신|최근|신작|요즘|새로운|새로 나온|latest|newest|recent|new": "newest",
        "인기|인기있는|유명한|화제|핫한|뜨는|대세|popular|famous|trending|hot": "popular",
    }
)
CLASSIC_WORDS = ("고전", "옛날", "클래식", "classics", "classic", "old")
CLASSIC_UNTIL = 1989

SERIES_WORDS = ("tv 프로그램", "tv series", "tv shows", "tv show", "시리즈", "tv쇼", "시트콤", "series", "shows", "show", "sitcom")
FILM_WORDS = ("영화", "무비", "movies", "movie", "films", "film", "cinema")
SIMILAR_WORDS = ("같은", "비슷한", "처럼", "similar to", "like")

STOP_WORDS = frozenset(
    """
    추천 추천해줘 추천해주세요 추천해 추천좀 추천작 알려줘 알려주세요 찾아줘 찾아주세요 보여줘 골라줘 부탁해 부탁해요 부탁드려요 뭐
    뭐가 있어 있어요 있나요 있을까 있을까요 있는 볼만한 볼 만한 보고 보기 보면 싶어 싶은 싶다 싶어요 좋은 좋을 좋아하는 괜찮은
    재미있는 재밌는 재미 나는 내가 나 저 제가 우리 오늘 밤 저녁 주말 지금 때 날 날에 것 거 것만 만 좀 더 그 이 한 편 몇
    개 어떤 무슨 하는 할 수 나온 나오는 개봉 개봉한 작품 작 중 중에 중에서 그리고 또는 이나 말고 빼고 제외 제외하고 아닌 않은
    없는 주세요 줘 해줘 요 위한 위해 대한 관한 분위기 느낌 느낌의 장르 년대 초반 중반 후반 이후 이전 부터 까지 사이 같은
    비슷한 처럼 함께 같이 혼자 있는것 에서 운 게 로운 적인 스러운 a an the me my i we you some any
    that is are with for of to in on at and or from by please recommend
    recommendation recommendations suggest suggestion show find want watch
    see looking something good great nice tonight today weekend day night
    about made released before after since between until not no without only
    what which can could would like similar
    """.split()
)
PARTICLES = (
    *("으로", "에서", "에게", "부터", "까지", "이랑", "처럼", "하고", "이나", "들의"),
    *("들", "은", "는", "이", "가", "을", "를", "에", "의", "로", "와", "과", "도", "만", "랑", "나", "요"),
)
