"""How a film should feel and what it should be about: the words for it, and what the catalogue can be searched for in their place.

Facts only. A `~` ends the stem of a Korean adjective or verb, which any ending may follow: "무섭~" is in "무섭지", "무섭고".
"""

from __future__ import annotations

from dataclasses import dataclass

from opuscine.recommend.words import (
    ACTION,
    ADVENTURE,
    ANIMATION,
    COMEDY,
    CRIME,
    DOCUMENTARY,
    DRAMA,
    FAMILY,
    FANTASY,
    HISTORY,
    HORROR,
    KIDS,
    MYSTERY,
    ROMANCE,
    SCIENCE_FICTION,
    SERIES_ACTION,
    SERIES_WAR,
    THRILLER,
    WAR,
    WESTERN,
    by_word,
)

LOUD = (ACTION, HORROR, THRILLER, CRIME, WAR, WESTERN, SERIES_ACTION, SERIES_WAR)
DARK = (HORROR, THRILLER, CRIME, WAR)


@dataclass(frozen=True, slots=True)
class Mood:
    """How a film should feel."""

    name: str  # as it is told in Korean
    genres: tuple[int, ...]  # a film has at least one of them; the more, the better it fits
    excluded: tuple[int, ...] = ()  # genres that spoil it
    opposite: tuple[int, ...] = ()  # genres that are not wished for when the mood is not
    stems: tuple[str, ...] = ()  # how an overview says it
    spoiling: tuple[str, ...] = ()  # what an overview says of a film that spoils it
    opposite_stems: tuple[str, ...] = ()  # what an overview says of a film that the mood is not wished for
    instead: tuple[int, ...] = ()  # genres that are the likelier liked when the mood is not wished for
    required: bool = False  # holds even beside a genre that is asked for by name


_MOODS: tuple[tuple[str, Mood], ...] = (
    (
        (
            "잔잔~|힐링|따뜻~|따듯~|감성|감동|포근~|편안~|평화로~|훈훈~|가슴 따뜻~|마음 따뜻~|위로가|위로받~|위로해|비 오는|비오는|비 올"
            "|조용~|차분~|평온~|우울할 때|우울한 날|기분 전환|힘들 때|지칠 때"
            "|부모님과|부모님이랑|부모님하고|엄마랑|아빠랑|엄마와|할머니랑"
            "|calm|quiet|gentle|cozy|heartwarming|heart-warming|feel-good|feelgood|feel good|rainy day|rainy|relaxing|peaceful|soothing"
            "|wholesome"
        ),
        Mood(
            "잔잔하고 따뜻한",
            (DRAMA, ROMANCE, FAMILY),
            LOUD,
            stems=("잔잔한", "따뜻한", "포근한", "소박한"),
            spoiling=("살인", "살해", "끔찍", "폭행", "납치", "학대", "절망", "눈물", "마약", "복수"),
        ),
    ),
    (
        "웃긴|웃기는|웃기~|웃을|유쾌~|재미난|개그|빵 터지~|빵터지~|코믹|funny|hilarious|cheerful|lighthearted|light-hearted|laugh|laughs",
        Mood("유쾌한", (COMEDY,), (*DARK, HISTORY), (COMEDY,), stems=("웃음", "유쾌한", "웃긴")),
    ),
    (
        "가볍~|가벼운|킬링타임|머리 비우~|생각 없이|easy watch|light",
        Mood("가볍게 볼", (COMEDY, ADVENTURE, ROMANCE), (*DARK, HISTORY)),
    ),
    (
        "무섭~|무서운|무서워~|무서우~|소름|오싹~|귀신|scary|creepy|spooky|terrifying|frightening",
        Mood("무서운", (HORROR,), (FAMILY, COMEDY, ANIMATION), (HORROR,), stems=("공포", "저주", "귀신")),
    ),
    (
        "잔인~|고어|폭력|폭력적~|유혈|violent|violence|gory|gore|bloody|brutal",
        Mood(
            "잔인한",
            (HORROR, THRILLER, CRIME),
            (FAMILY, ANIMATION),
            (HORROR, WAR, CRIME),
            instead=(COMEDY, MYSTERY, ADVENTURE, FAMILY),
            opposite_stems=("연쇄살인", "살인마", "학살", "살육", "잔혹", "고문"),
        ),
    ),
    (
        "슬픈|슬프~|슬퍼~|슬픔|눈물|눈물나~|우울~|울고 싶~|울고싶~|펑펑|먹먹~|애절~|sad|tearjerker|tearjerkers|melancholic|heartbreaking",
        Mood(
            "슬픈",
            (DRAMA, ROMANCE),
            (COMEDY, HORROR, ACTION, WESTERN, ADVENTURE, THRILLER, SCIENCE_FICTION),
            stems=("이별", "눈물", "슬픔"),
            instead=(COMEDY, FAMILY, ADVENTURE),
            opposite_stems=("눈물", "이별", "슬픔", "시한부", "비극"),
        ),
    ),
    (
        "긴장감|긴장~|스릴|쫄깃~|반전|몰입~|손에 땀|tense|suspense|suspenseful|gripping|plot twist|plot twists|twist",
        Mood(
            "긴장감 있는",
            (THRILLER, MYSTERY, CRIME),
            (FAMILY, COMEDY, ANIMATION),
            (THRILLER, HORROR),
            stems=("추적", "사건", "비밀"),
        ),
    ),
    (
        "시원~|통쾌~|신나는|신나~|짜릿~|화끈~|스트레스|exciting|thrilling|action-packed|adrenaline",
        Mood("신나는", (ACTION, ADVENTURE), (DOCUMENTARY, HORROR)),
    ),
    (
        (
            "사랑 이야기|사랑이야기|사랑|연애|데이트|설레~|설렘|달달~|첫사랑|연인과|연인이랑|커플|애인이랑|여자친구랑|여자친구와|남자친구랑"
            "|남자친구와|여친이랑|남친이랑|아내와|와이프랑|남편과|남편이랑|love story|love stories|date night|date"
        ),
        Mood("설레는", (ROMANCE,), (HORROR, WAR, CRIME), (ROMANCE,), stems=("사랑", "연애", "첫사랑")),
    ),
    (
        (
            "아이들|아이|아이와|아이랑|아기|애들|온 가족|온가족|가족과|가족이랑|가족끼리|가족 모두|어린이|초등학생|유아|아동|키즈|자녀|조카"
            "|딸이랑|아들이랑|kids|kid|children|child|toddler|toddlers|whole family|family-friendly|family friendly"
        ),
        Mood(
            "아이와 볼 수 있는",
            (FAMILY, KIDS),
            (*DARK, SERIES_WAR),
            (FAMILY, KIDS),
            spoiling=("살인", "마약", "학살"),
            required=True,
        ),
    ),
    ("귀여운|귀엽~|사랑스러~|cute|adorable", Mood("귀여운", (ANIMATION, FAMILY), DARK)),
    (
        "어두운|어둡~|다크~|음울~|dark|gritty|bleak",
        Mood("어두운", (CRIME, THRILLER, DRAMA), (FAMILY, COMEDY, ANIMATION), DARK),
    ),
    ("몽환~|환상적~|신비~|dreamy|whimsical|magical", Mood("몽환적인", (FANTASY, ANIMATION), DARK)),
    (
        "철학적~|철학|생각할|생각하게|여운|thought-provoking|mind-bending|mindbending",
        Mood("여운이 남는", (DRAMA, SCIENCE_FICTION, MYSTERY), (FAMILY, COMEDY)),
    ),
)
MOOD_WORDS = {word: mood for line, mood in _MOODS for word in line.split("|")}


@dataclass(frozen=True, slots=True)
class Topic:
    """What a film is about."""

    name: str  # as it is told in Korean
    words: tuple[str, ...]  # how titles and overviews say it, without spaces
    genres: tuple[int, ...] = ()  # where such films are found more often


def _topic(line: str, *genres: int) -> Topic:
    name, *others = line.split()
    return Topic(name, (name, *others), genres)


TOPIC_WORDS: dict[str, Topic] = by_word(
    {
        "좀비|zombie|zombies": _topic("좀비", HORROR),
        "우주|outer space|space": _topic("우주 우주선 은하", SCIENCE_FICTION),
        "로봇|robot|robots|android": _topic("로봇 안드로이드", SCIENCE_FICTION),
        "인공지능|인공 지능|ai": _topic("인공지능 AI", SCIENCE_FICTION),
        "시간여행|시간 여행|타임루프|타임 루프|타임슬립|타임리프|time travel|time loop": _topic(
            "시간여행 타임머신 타임루프 과거로 미래에서", SCIENCE_FICTION, FANTASY
        ),
        "뱀파이어|흡혈귀|vampire|vampires": _topic("뱀파이어 흡혈귀", HORROR, FANTASY),
        "크리스마스|성탄절|christmas|xmas": _topic("크리스마스 산타 산타클로스", FAMILY),
        "공룡|dinosaur|dinosaurs": _topic("공룡", ADVENTURE),
        "외계인|외계|alien|aliens": _topic("외계인 외계", SCIENCE_FICTION),
        "스파이|첩보|첩보원|spy|spies|espionage": _topic("스파이 첩보 첩보원 요원", ACTION, THRILLER),
        "슈퍼히어로|슈퍼 히어로|히어로|superhero|superheroes": _topic("히어로 슈퍼히어로 영웅 초능력", ACTION, SCIENCE_FICTION),
        "복수|복수극|revenge": _topic("복수 복수극", THRILLER, CRIME),
        "실화|실화 바탕|true story|true stories": _topic("실화 실존", HISTORY, DRAMA),
        "재난|disaster|disasters": _topic("재난 지진 화산 쓰나미 해일", ACTION, THRILLER),
        "요리|음식|맛있는|먹방|cooking|food|chef": _topic("요리 셰프 요리사 음식 식당", COMEDY),
        "마법|마법사|magic|wizard|wizards|witch|witches": _topic("마법 마법사 마녀", FANTASY),
        "학교|고등학교|학원|high school": _topic("학교 고등학교 고등학생 여고생", DRAMA),
        "성장|청춘|coming-of-age|coming of age": _topic("성장 청춘 사춘기", DRAMA),
        "스포츠|운동|sports|sport": _topic("스포츠 축구 야구 농구 권투 복싱 선수", DRAMA),
        "축구|soccer|football": _topic("축구"),
        "야구|baseball": _topic("야구"),
        "농구|basketball": _topic("농구"),
        "법정|변호사|courtroom|lawyer|lawyers": _topic("법정 변호사 재판 배심원", DRAMA, CRIME),
        "의학|병원|의사|medical|hospital|doctors": _topic("의학 병원 의사 외과", DRAMA),
        "연쇄살인|연쇄 살인|살인마|serial killer|serial killers": _topic("연쇄살인 살인마 연쇄살인마", THRILLER, CRIME),
        "강아지|개가|dog|dogs|puppy": _topic("강아지 반려견", FAMILY),
        "고양이|cat|cats": _topic("고양이", FAMILY),
        "해적|pirate|pirates": _topic("해적", ADVENTURE),
        "상어|shark|sharks": _topic("상어", THRILLER),
        "괴수|kaiju|giant monster": _topic("괴수 고질라", SCIENCE_FICTION),
        "감옥|교도소|탈옥|prison": _topic("감옥 교도소 탈옥", DRAMA, CRIME),
        "여름|summer": _topic("여름 여름날 여름방학", ROMANCE),
        "겨울|눈 오는|winter": _topic("겨울 눈보라 설원"),
        "바다|ocean|sea": _topic("바다 심해"),
        "뉴욕|new york": _topic("뉴욕"),
        "파리|paris": _topic("파리"),
    }
)
