"""The words by which replies are understood: what beside a title is a genre, a kind, a label; what makes a sentence. Facts only.

Korean and English; Latin words in lower case. How they are used is in the files beside this one.
"""

from __future__ import annotations

from opuscine.model import Kind


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split("|"))


GENRES = _words(
    "action|adventure|animation|animated|anime|biography|biographical|biopic|children|comedy|comedies|comedy-drama|crime|cult"
    "|dark comedy|disaster|documentary|documentaries|drama|dramas|dramedy|epic|family|fantasy|feel-good|film noir|foreign|heist"
    "|historical|history|horror|independent|indie|martial arts|melodrama|musical|musicals|music|mystery|neo-noir|noir|period"
    "|political|psychological|romance|romantic|romantic comedy|romcom|rom-com|satire|sci-fi|scifi|science fiction|slasher|sports"
    "|sport|spy|superhero|supernatural|suspense|teen|thriller|thrillers|war|western|westerns|short|classic|classics|black comedy|액션"
    "|모험|어드벤처|애니메이션|애니|전기|아동|코미디|코메디|범죄|느와르|누아르|다큐멘터리|다큐|드라마|가족|판타지|역사|사극|시대극"
    "|호러|공포|독립|독립영화|무협|멜로|뮤지컬|음악|미스터리|추리|로맨스|로맨틱|로맨틱 코미디|로코|로맨틱코미디|풍자|sf|공상과학"
    "|스포츠|첩보|슈퍼히어로|히어로|서스펜스|청춘|스릴러|전쟁|서부|서부극|재난|블랙코미디|블랙 코미디|힐링|감동|성장|심리|오컬트|좀비"
    "|느와르 영화|하이스트|청소년|하이틴|블록버스터"
)
"""Words that stand alone as a genre, beside a title or in the place of one."""

HEADINGS = _words(
    "action|adventure|animation|comedy|comedies|crime|documentary|documentaries|drama|dramas|family|fantasy|horror|musical|musicals"
    "|mystery|romance|romantic comedy|sci-fi|science fiction|superhero|thriller|thrillers|western|westerns|액션|모험|애니메이션"
    "|코미디|범죄|다큐멘터리|드라마|판타지|역사|사극|호러|공포|뮤지컬|미스터리|추리|로맨스|로맨틱 코미디|멜로|sf|스릴러|전쟁|재난"
)
"""Genres that head a part of a list. Others are titles as well: "Spy", "Epic", "가족"."""

KINDS: dict[str, Kind] = {
    word: kind
    for kind, words in {
        Kind.TV: "tv|series|tv series|tv-series|tv show|tvshow|tvseries|show|television|television series|television show|miniseries"
        "|mini-series|mini series|limited series|tv miniseries|tv mini-series|tv mini series|web series|anime series"
        "|animated series|netflix series|netflix original series|hbo series|sitcom|k-drama|kdrama|korean drama|korean series"
        "|tv drama|drama series|tv 시리즈|tv시리즈|시리즈|tv 드라마|tv드라마|드라마 시리즈|한국 드라마|한국드라마"
        "|넷플릭스 시리즈|넷플릭스 드라마|넷플릭스 오리지널 시리즈|미니시리즈|미니 시리즈|웹드라마|웹 드라마|시트콤|미드"
        "|영드|일드|중드|한드|애니메이션 시리즈|tv 애니메이션|tv애니메이션",
        Kind.MOVIE: "movie|film|feature film|tv movie|tv film|feature|motion picture|영화|극장판|한국 영화|한국영화|장편 영화|tv 영화",
    }.items()
    for word in words.split("|")
}
"""What an aside in brackets or a JSON field says of a title's kind. "드라마" alone is not here: beside a film it is its genre."""

KINDS_AS_FIELD: dict[str, Kind] = {**KINDS, "drama": Kind.TV, "드라마": Kind.TV, "movies": Kind.MOVIE, "films": Kind.MOVIE, "m": Kind.MOVIE}
"""The same where a field of its own says the kind."""

KINDS_IN_FRONT: dict[str, Kind] = {
    "영화": Kind.MOVIE,
    "film": Kind.MOVIE,
    "movie": Kind.MOVIE,
    "드라마": Kind.TV,
    "시리즈": Kind.TV,
    "tv 시리즈": Kind.TV,
    "미드": Kind.TV,
    "tv series": Kind.TV,
    "series": Kind.TV,
    "애니메이션": Kind.MOVIE,
}
"""The same before a quoted title: 드라마 〈…〉."""

NOT_SHOWN = _words(
    "novel|book|comic|comic book|comics|graphic novel|manga|webtoon|soundtrack|ost|video game|game|audiobook|poster|action figure"
    "|fan fiction|collectible card game|card game|board game|play|stage play|musical album|album|song|podcast"
    "|소설|책|만화|만화책|웹툰|웹소설|사운드트랙|게임|비디오 게임|오디오북|포스터|음반|노래|팟캐스트|연극"
)
"""Asides that say of an item that it is neither film nor series."""

LABELS = _words(
    "genre|genres|director|directors|directed by|cast|stars|star|starring|actors|actor|runtime|running time|length|duration|budget"
    "|box office|rating|ratings|imdb|imdb rating|score|rotten tomatoes|metacritic|synopsis|plot|summary|storyline|story|overview|year"
    "|release|released|release year|release date|country|language|languages|why|why watch|why you'll like it|reason|reasons"
    "|why it fits|why it's great|why i recommend it|why recommended|note|notes|tip|tips|warning|disclaimer|where to watch"
    "|available on|streaming on|streaming|watch on|platform|platforms|description|theme|themes|mood|tone|keywords|tags|awards|studio"
    "|writer|writers|written by|id|tmdb id|imdb id|type|media type|format|season|seasons|episodes|highlights|similar to"
    "|original title|also known as|trailer|link|age rating|certificate|vibe|best for|perfect for|content|details|fun fact|장르|감독"
    "|연출|출연|출연진|주연|배우|러닝타임|상영시간|상영 시간|제작비|흥행|평점|별점|평가|줄거리|시놉시스|내용|개요|소개|설명|스토리"
    "|연도|년도|개봉|개봉일|개봉연도|개봉 연도|개봉년도|개봉 년도|출시|출시연도|제작연도|제작년도|제작|국가|제작국|나라|언어|이유"
    "|추천이유|추천 이유|추천 포인트|추천포인트|포인트|참고|주의|팁|시청|시청 가능|시청 플랫폼|볼 수 있는 곳|플랫폼|스트리밍|ott|테마"
    "|주제|분위기|키워드|태그|수상|각본|극본|종류|유형|구분|시즌|회차|에피소드|특징|한줄평|한 줄 평|관람 포인트|관람등급|등급|원제"
    "|영제|영어 제목|영문 제목|명대사|관련 작품|비고|감상 포인트|매력|매력 포인트|한마디|요약"
)
"""What a line that begins "label:" tells of a film named elsewhere."""

REMARKS = _words("note|notes|tip|tips|warning|disclaimer|summary|참고|주의|팁|비고|요약|한마디|소개|설명")
"""Labels that speak of the whole list as well."""

TITLE_LABELS = _words(
    "title|movie|film|movie title|film title|name|tv series|series|show|제목|영화|영화 제목|영화제목|작품|작품명|작품 제목|영화명"
    "|타이틀|드라마|시리즈"
)
"""What a line that begins "label:" names a film with."""

COLUMN_TITLES = _words(
    "title|movie|film|name|movie title|film title|show|series|제목|영화|영화 제목|영화제목|작품|작품명|영화명|타이틀|title (year)"
    "|제목 (연도)|제목(연도)"
)
COLUMN_YEARS = _words("year|release|released|release year|release date|연도|년도|개봉|개봉연도|개봉 연도|개봉년도|개봉일|제작연도")

MINOR_WORDS = _words(
    "a|an|the|of|in|on|at|to|for|and|or|nor|but|with|from|by|as|into|onto|over|under|up|out|off|vs|vs.|v|v.|per|via|than|de|la|le|les"
    "|el|los|las|du|des|del|di|da|do|dos|das|der|die|den|van|von|und|et|y|e|o|il|lo|en|no|na|aux|au|l|d|n"
)
"""Words that headline style writes in lower case."""

SENTENCE_WORDS = _words(
    "is|are|was|were|be|been|am|has|have|had|do|does|did|will|would|can|could|should|shall|may|might|must|you|your|yours|you're|you'll"
    "|you've|you'd|i|i'm|i'll|i've|i'd|we|we're|our|us|they|their|them|it|it's|its|that|that's|these|those|this|there|here|please|if"
    "|because|which|what|who|whose|when|while|based|let|let's|not|don't|can't|about|also|these|some|any|more|such|just"
)
"""Words that make a sentence of other lower-case words."""

CHEERS = _words(
    "enjoy|enjoy watching|happy watching|happy viewing|happy movie night|have fun|thanks|thank you|cheers|bon appetit|hello|hi|done|end"
)
"""What stands alone at the end of a list, or before one."""

FRANCHISE_WORDS = _words("trilogy|franchise|series|saga|movies|films|duology|quadrilogy")
"""Lower-case words that may end a title in running text."""

PROVIDERS = _words(
    "netflix|hulu|disney+|disney plus|hbo|hbo max|max|amazon|amazon prime|amazon prime video|prime video|prime|apple tv|apple tv+"
    "|youtube|peacock|paramount+|watcha|wavve|tving|coupang play|넷플릭스|왓챠|웨이브|티빙|쿠팡플레이|쿠팡 플레이|디즈니+"
    "|디즈니플러스|디즈니 플러스|애플tv|유튜브|라프텔"
)

TITLE_ENDINGS = _words(
    "new and selected|the unexpected virtue of ignorance|or the unexpected virtue of ignorance|part one|part two|part i|part ii"
)
"""What stands in brackets at the end of a title and is a part of it."""

TITLES_WITH_COMMAS: tuple[str, ...] = tuple(
    (
        "crazy, stupid, love|love, simon|love, actually|love, rosie|love, victor|me, myself & irene|monsters, inc.|i, robot|i, tonya"
        "|i, daniel blake|girl, interrupted|everything, everything|tick, tick... boom!|three billboards outside ebbing, missouri"
        "|new york, new york|paris, texas|paris, je t'aime|good morning, vietnam|good night, and good luck|goodbye, mr. chips"
        "|good bye, lenin!|good luck to you, leo grande|dude, where's my car?|honey, i shrunk the kids|o brother, where art thou?"
        "|crouching tiger, hidden dragon|sex, lies, and videotape|lust, caution|planes, trains and automobiles"
        "|the good, the bad and the ugly|the good, the bad, the weird|lock, stock and two smoking barrels"
        "|the cook, the thief, his wife & her lover|10,000 bc|20,000 leagues under the sea|yes, god, yes|tinker, tailor, soldier, spy"
        "|eat, pray, love|the chronicles of narnia: the lion, the witch and the wardrobe|the lion, the witch and the wardrobe"
        "|hello, dolly!|hello, my name is doris|oh, god!|spring, summer, fall, winter... and spring|4 months, 3 weeks and 2 days"
        "|bell, book and candle|hail, caesar!|farewell, my lovely|sorry, wrong number|yesterday, today and tomorrow|괜찮아, 사랑이야"
        "|지금, 만나러 갑니다|조제, 호랑이 그리고 물고기들|안녕, 헤이즐|안녕, 나의 소울메이트|봄, 여름, 가을, 겨울 그리고 봄"
        "|러브, 로지|러브, 사이먼|아이, 로봇|아이, 토냐|나, 다니엘 블레이크|색, 계|크레이지, 스투피드, 러브|굿바이, 레닌"
        "|미안해, 고마워|뉴욕, 뉴욕|파리, 텍사스|사랑해, 파리|바람, 바람, 바람|좋은 놈, 나쁜 놈, 이상한 놈|놈, 놈, 놈|오, 브라더스"
        "|지금, 이대로가 좋아요|달콤, 살벌한 연인|나의 사랑, 나의 신부"
    ).split("|")
)
"""Known titles that hold a comma: a list in running text would be cut through them."""
