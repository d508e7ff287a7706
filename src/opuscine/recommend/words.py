"""The words for genres, countries, kinds and orders that the catalogue's own recommender understands, in Korean and English. Facts only.

A line of a table lists words of one meaning, separated by `|`. How words are recognised in a sentence is in `lexicon.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from opuscine.model import Kind

V = TypeVar("V")
Order = Literal["relevance", "best", "newest", "popular"]
GenreGroups = tuple[tuple[int, ...], ...]


def by_word(table: Mapping[str, V]) -> dict[str, V]:
    """Spread a table of lines into one of words."""
    return {word: value for line, value in table.items() for word in line.split("|")}


# TMDB's genre numbers (https://developer.themoviedb.org/reference/genre-movie-list)
ACTION, ADVENTURE, ANIMATION, COMEDY, CRIME = 28, 12, 16, 35, 80
DOCUMENTARY, DRAMA, FAMILY, FANTASY, HISTORY = 99, 18, 10751, 14, 36
HORROR, MUSIC, MYSTERY, ROMANCE, SCIENCE_FICTION = 27, 10402, 9648, 10749, 878
TV_MOVIE, THRILLER, WAR, WESTERN, REALITY, TALK = 10770, 53, 10752, 37, 10764, 10767
KIDS, SERIES_ACTION, SERIES_SF, SOAP, SERIES_WAR = 10762, 10759, 10765, 10766, 10768

# Words that are a genre's own name: what they state is certain.
GENRE_WORDS: dict[str, GenreGroups] = by_word(
    {
        "액션|action": ((ACTION,),),
        "모험|어드벤처|어드벤쳐|adventure|adventures": ((ADVENTURE,),),
        "애니메이션|애니|만화영화|animation|animations|animated|anime": ((ANIMATION,),),
        "코미디|코메디|comedy|comedies": ((COMEDY,),),
        "범죄|crime": ((CRIME,),),
        "다큐멘터리|다큐|documentary|documentaries": ((DOCUMENTARY,),),
        "drama|dramas": ((DRAMA,),),
        "판타지|fantasy": ((FANTASY,),),
        "역사|history|historical": ((HISTORY,),),
        "공포|호러|horror": ((HORROR,),),
        "미스터리|미스테리|mystery|mysteries": ((MYSTERY,),),
        "로맨스|멜로|romance|romances": ((ROMANCE,),),
        "로맨틱코미디|로맨틱 코미디|로코|romantic comedy|romantic comedies|romcom|romcoms|rom-com|rom-coms": ((ROMANCE,), (COMEDY,)),
        "sf|에스에프|공상과학|공상 과학|sci-fi|scifi|science fiction": ((SCIENCE_FICTION,),),
        "스릴러|thriller|thrillers": ((THRILLER,),),
        "전쟁|war": ((WAR,),),
        "서부|서부극|웨스턴|western|westerns": ((WESTERN,),),
    }
)
# Words that lead to a genre without being its name: good to search by, too vague to reject a film for.
NEAR_GENRE_WORDS: dict[str, GenreGroups] = by_word(
    {
        "로맨틱|romantic": ((ROMANCE,),),
        "느와르|누아르|갱스터|조폭|noir|film noir|gangster|mafia|heist|하이스트|케이퍼": ((CRIME,),),
        "사극|시대극|period piece|period drama|costume drama": ((HISTORY,),),
        "뮤지컬|음악|musical|musicals|music": ((MUSIC,),),
        "클래식 음악|클래식음악|classical music": ((MUSIC,),),
        "추리|탐정|수사|whodunit|detective": ((MYSTERY, CRIME),),
        "가족|family": ((FAMILY,),),
        "예능|리얼리티|reality": ((REALITY, TALK),),
        "토크쇼|talk show|talk shows": ((TALK,),),
        "tv 영화|tv영화|tv movie|tv movies": ((TV_MOVIE,),),
        "블랙코미디|블랙 코미디|dark comedy|black comedy": ((COMEDY,),),
        "무협|kung fu|martial arts": ((ACTION,),),
        "세계대전|세계 대전|2차대전|2차 대전|1차 대전|한국전쟁|6.25|베트남전|world war|ww2|wwii|vietnam war": ((WAR,),),
        "korean war|civil war": ((WAR,),),
    }
)
# TMDB files no series under these: what a series of that sort is filed under instead, and what its overview may say.
NEAR_IN_SERIES: dict[int, tuple[tuple[int, ...], str]] = {
    THRILLER: ((CRIME, MYSTERY), "살인 범인 추적 음모"),
    HORROR: ((MYSTERY, SERIES_SF), "공포 저주 귀신 좀비 악령 뱀파이어"),
    ROMANCE: ((ROMANCE, DRAMA), "사랑 연애 로맨스 첫사랑 연인"),
    HISTORY: ((SERIES_WAR, DRAMA), "조선 왕실 왕국 황제 역사 시대"),
    MUSIC: ((COMEDY, DRAMA), "음악 노래 밴드 합창단 가수"),
}

COUNTRY_WORDS: dict[str, tuple[str, ...]] = by_word(
    {
        "한국|국내|대한민국|국산|korean|korea|south korea|south korean": ("KR",),
        "일본|japanese|japan": ("JP",),
        "미국|할리우드|헐리우드|헐리웃|american|america|hollywood|usa": ("US",),
        "영국|british|england|britain|uk": ("GB",),
        "프랑스|french|france": ("FR",),
        "독일|german|germany": ("DE",),
        "이탈리아|이태리|italian|italy": ("IT",),
        "스페인|spanish|spain": ("ES",),
        "중국|chinese|china": ("CN",),
        "홍콩|hong kong": ("HK",),
        "대만|타이완|taiwanese|taiwan": ("TW",),
        "중화권": ("CN", "HK", "TW"),
        "인도|발리우드|indian|india|bollywood": ("IN",),
        "인도네시아|indonesian|indonesia": ("ID",),
        "태국|thai|thailand": ("TH",),
        "베트남|vietnamese|vietnam": ("VN",),
        "필리핀|philippine|philippines|filipino": ("PH",),
        "캐나다|canadian|canada": ("CA",),
        "호주|오스트레일리아|australian|australia": ("AU",),
        "뉴질랜드|new zealand": ("NZ",),
        "멕시코|mexican|mexico": ("MX",),
        "브라질|brazilian|brazil": ("BR",),
        "아르헨티나|argentine|argentinian|argentina": ("AR",),
        "콜롬비아|colombian|colombia": ("CO",),
        "스웨덴|swedish|sweden": ("SE",),
        "덴마크|danish|denmark": ("DK",),
        "노르웨이|norwegian|norway": ("NO",),
        "핀란드|finnish|finland": ("FI",),
        "북유럽|scandinavian|nordic": ("SE", "DK", "NO", "FI", "IS"),
        "아일랜드|irish|ireland": ("IE",),
        "네덜란드|dutch|netherlands": ("NL",),
        "벨기에|belgian|belgium": ("BE",),
        "오스트리아|austrian|austria": ("AT",),
        "스위스|swiss|switzerland": ("CH",),
        "폴란드|polish|poland": ("PL",),
        "체코|czech": ("CZ",),
        "헝가리|hungarian|hungary": ("HU",),
        "러시아|russian|russia": ("RU",),
        "우크라이나|ukrainian|ukraine": ("UA",),
        "튀르키예|터키|turkish|turkey": ("TR",),
        "이란|iranian|iran": ("IR",),
        "이스라엘|israeli|israel": ("IL",),
        "몽골|mongolian|mongolia": ("MN",),
        "유럽|european|europe": (
            *("GB", "FR", "DE", "IT", "ES", "SE", "DK", "NO", "FI", "IE", "NL", "BE", "AT", "CH", "PL"),
            *("CZ", "HU", "PT", "GR", "UA"),
        ),
    }
)
# A language is spoken in more countries than one: good to search by, too vague to reject a film for.
LANGUAGE_WORDS: dict[str, tuple[str, ...]] = by_word(
    {
        "영어|영어권|english": ("US", "GB", "CA", "AU", "NZ", "IE"),
        "한국어": ("KR",),
        "일본어": ("JP",),
        "중국어": ("CN", "HK", "TW"),
        "불어|프랑스어": ("FR", "BE", "CA"),
        "스페인어": ("ES", "MX", "AR", "CO"),
    }
)
COUNTRY_NAMES = dict(
    pair.split(":")
    for pair in (
        "KR:한국 JP:일본 US:미국 GB:영국 FR:프랑스 DE:독일 IT:이탈리아 ES:스페인 CN:중국 HK:홍콩 TW:대만 IN:인도 ID:인도네시아 "
        "TH:태국 VN:베트남 PH:필리핀 CA:캐나다 AU:호주 NZ:뉴질랜드 MX:멕시코 BR:브라질 AR:아르헨티나 CO:콜롬비아 SE:스웨덴 "
        "DK:덴마크 NO:노르웨이 FI:핀란드 IS:아이슬란드 IE:아일랜드 NL:네덜란드 BE:벨기에 AT:오스트리아 CH:스위스 PL:폴란드 "
        "CZ:체코 HU:헝가리 RU:러시아 UA:우크라이나 TR:튀르키예 IR:이란 IL:이스라엘 MN:몽골 PT:포르투갈 GR:그리스"
    ).split()
)
# Seen from Korea: anything but Korean.
ABROAD_WORDS = "외국|해외|서양|foreign".split("|")

FILM_WORDS = "영화|무비|극장판|단편영화|장편영화|movie|movies|film|films|cinema|flick|flicks".split("|")
SERIES_WORDS = (
    "시리즈|미니시리즈|tv 시리즈|tv시리즈|tv 프로그램|tv프로|tv쇼|series|tv series|tv show|tv shows|shows|miniseries|mini series"
    "|tv 드라마|tv드라마"
).split("|")
# A series, or the genre: which of them is told by the words around it.
DRAMA_WORDS = "드라마|휴먼드라마|휴먼 드라마".split("|")
# Words that name a series and its country or genre at once.
SERIES_OF: dict[str, str] = by_word(
    {
        "한드|k드라마|k 드라마|k-드라마|kdrama|kdramas|k-drama|k-dramas|korean drama|korean dramas": "KR",
        "미드|미국드라마": "US",
        "일드|j-drama|japanese drama|japanese dramas": "JP",
        "중드|chinese drama|chinese dramas": "CN",
        "영드|british drama|british dramas": "GB",
        "대드|taiwanese drama": "TW",
    }
)
SITCOM_WORDS = "시트콤|sitcom|sitcoms".split("|")

ORDER_WORDS: dict[str, Order] = by_word(
    {
        "명작|걸작|인생영화|인생 영화|최고|최고의|평점 높은|평점이 높은|평점 좋은|평점순|평점|별점 높은|수작|띵작|대작|잘 만든": "best",
        "best|masterpiece|masterpieces|greatest|top rated|top-rated|top|must-see|must see|acclaimed|highly rated|award winning": "best",
        "최신|최신작|최신순|최근|신작|요즘|새로운|새로 나온|latest|newest|recent|new": "newest",
        "인기|인기 있는|인기있는|인기작|인기순|유명한|화제|화제작|화제의|핫한|뜨는|대세|popular|famous|trending|hot": "popular",
    }
)
CLASSIC_WORDS = "고전|고전영화|옛날|옛날영화|클래식|classics|classic|old movies|old movie|old films|old film".split("|")
CLASSIC_UNTIL = 1989

KIND_NAMES = {Kind.MOVIE: "영화", Kind.TV: "시리즈"}
ORDER_NAMES = {"best": "평점순", "newest": "최신순", "popular": "인기순"}
