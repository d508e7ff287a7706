"""The small words of a sentence: what joins, negates, compares, or says nothing about films. Facts only; a `~` ends a stem."""

from __future__ import annotations

# Behind what is not wished for. Those of `NEAREST_ONLY` concern the word before them alone: "무섭지 않은 공포".
NOT_BEHIND = (
    "말고|말구|빼고|빼구|빼면|빼|뺀|빼줘|빼주세요|제외|제외하고|제외한|제외하면|아닌|아니고|아닌데|아니었으면|없는|없이|없고|없었으면"
    "|싫~|별로|질렸~|지겨~|지겹~|사절|금지|외에|이외에|이외의|외의|관심 없~|관심없~|아니면 돼|아니면 돼요|아니면 다|아니면 되~"
    "|아니면 괜찮~|않~|-free"
).split("|")
NEAREST_ONLY = ("않~", "-free")
# Before what is not wished for.
NOT_AHEAD = (
    "not|no|non|without|except|except for|excluding|hate|hates|avoid|dislike|never|minus|don't|dont|do not|doesn't|isn't|aren't|won't"
    "|can't stand|cannot stand|anything but|nothing|other than|instead of|rather than|less|skip|tired of|sick of|nor|neither"
).split("|")
# Before an adjective; before a verb they concern what stands before them: "안 무서운", "공포는 안 봐요".
NOT_EITHER = ("안", "못", "덜")

OR = ("또는", "혹은", "아니면", "or", "/", "|")
COMMA = (",", "·", ".", ";", "、")
AND = ("그리고", "및", "and", "&", "+")
BREAK = ("but", "just", "only", "rather", "prefer", "대신", "근데", "그런데", "하지만", "중에", "중에서", "?", "!")

# Compared with: what stands before, what stands behind.
LIKE_BEHIND = ("같은", "같이", "비슷한", "비슷하게", "비슷~", "처럼", "스타일", "스타일의", "느낌의", "닮은")
LIKE_AHEAD = ("like", "similar to", "same as", "in the style of")

# Where a film plays, not where it comes from: what stands before, what stands behind.
SET_BEHIND = ("배경", "배경의", "배경인", "배경으로", "배경으로 한", "배경이")
SET_AHEAD = ("set in", "set in the", "takes place in", "set during", "about the")
IN = ("in",)
MADE_IN = ("만든", "제작한", "제작된", "제작", "나온", "온", "찍은", "개봉한")

# May stand between a negation and what it negates.
PASSED = """
    것 거 건 게 걸 꺼 종류 쪽 나오는 나오고 나오지 나온 들어간 있는 너무 많이 요소 장면 그런 내용 등장하는 이야기 얘기 장르 계열
    좋아 보고 보는 봐
    a an any the too very so really that much of for with about have has having want wants wanting wanna like likes liked need
    watch watching see to in mood feel feeling fan into be being get give me suggest recommend show featuring containing involving
    contain contains include includes including all more other please
""".split()
# Says nothing that a film could be found by.
IDLE = """
    추천 추천해줘 추천해주세요 추천해 추천해요 추천좀 추천작 추천부탁 추천하는 추천할 추천해주라 추천해달라 추천받고 알려줘
    알려주세요 알려줄래 찾아줘 찾아주세요 찾고 찾아 찾는 보여줘 보여주세요 골라줘 골라주세요 부탁 부탁해 부탁해요 부탁드려요
    부탁드립니다 뭐 뭐가 뭐야 뭐지 무엇 있어 있어요 있나요 있을까 있을까요 있니 있음 볼만한 볼만 볼 만한 보기 보면 본 봤어 봤는데
    봤던 볼까 볼까요 보자 보고싶어 보고싶은 보고싶다 싶어 싶은 싶다 싶어요 싶네 좋은 좋을 좋을까 좋아하는 좋아해 좋아해요 좋아요
    좋고 좋겠어 좋아하고 괜찮은 괜찮 재미있는 재밌는 재미있게 재밌게 재미 재미로 나는 내가 나 난 저 저는 제가 제 내 우리 우리가
    오늘 내일 오늘밤 밤 밤에 아침 점심 저녁 저녁에 주말 주말에 휴일 연휴 명절 휴가 지금 이번 때 날 날에 것만 거만 만 좀 더 그 이
    저런 이런 한 한편 편 몇 몇편 개 하나 어떤 어느 무슨 어떻게 하는 할 할때 하고 해 수 개봉 개봉한 개봉작 작품 작품들 작 중 다 다른
    모두 전부 아무 아무거나 아무래도 주세요 주라 줘 줄래 해줘 해주세요 요 위한 위해 대한 관한 관련 관련된 분위기 분위기의 느낌 년대
    초반 중반 후반 이후 이전 부터 까지 사이 함께 혼자 혼자서 둘이 둘이서 여럿이 운 로운 적인 스러운 순 순으로 순서 편수 목록 리스트
    정주행 정주행할 시청 관람 감상 다시 이제 그냥 진짜 정말 완전 꼭 가장 제일 아주 매우 감독 감독님 감독의 배우 배우가 주연 주연의
    주연한 출연 출연한 출연하는 등장 나오 원작 소설 만화 웹툰 오티티 서비스 플랫폼 독점 오리지널 스트리밍 무료 넘치는 가득한 돋는
    충만한 짙은 물씬 친구 친구들 친구랑 엄마 아빠 엄마랑 아빠랑 부모님 아버지 어머니 여자친구 남자친구 여친 남친 남편 아내 와이프
    연인 커플 동생 언니 오빠 누나 할머니 할아버지 가족들 퇴근 퇴근하고 퇴근후 요새 이상 이하 이내 점 분 시간 시간대 짧은 긴 최소
    정도 안녕 안녕하세요 하이 고마워 감사 감사합니다 ㅋㅋ ㅎㅎ ㅠㅠ
    ott a an the me my i i'm i'd im we you us some any it is are was were be been being am that this these those with for of to on
    at by as from than then please recommend recommendation recommendations suggest suggestion suggestions show find give tell want
    wanna would could can need get watch watching see seen looking look something anything good great nice cool awesome amazing
    interesting fun tonight today tomorrow weekend evening day night now about made released before after since between until what
    which who whom whose when where how similar there here have has had do does did only really very so too much many more most
    also maybe hi hello hey thanks thank movie-night time all kind kinds type types genre genres style sort director directed actor
    actress starring star stars cast featuring streaming free both other others one ones mine our your let let's lets if not no up out
    favorite favourite love loved enjoy enjoyed i've ever id list top-10 mood feel feeling fan into set world matter idea sure mind
    care know why wait
""".split()
# Harmless where a negation of them would not be: "I don't mind horror" wants none kept out.
IDLE_PHRASES = (
    "don't mind|don't care|don't know|dont know|not sure|no idea|no matter|why not|not only|nothing but|can't wait"
    "|can't get enough of|show me|show us|상관없~|상관 없~|관계없이|관계 없이|두말없~|문제없~"
).split("|")

# What may stand at the end of a Korean noun; "나" and the like join it to the next one.
OR_PARTICLES = "이든지 든지 이거나 이나 이든 든 나".split()
AND_PARTICLES = "이랑 하고 랑 와 과".split()
BREAK_PARTICLES = "이면서 이지만 인데 지만 중에서 중에 중".split()
AT_PARTICLES = "에서는 에서도 에서".split()
PARTICLES = """
    으로는 에게서 으로도 이라도 이라는 이라고 들에게 에게 으로 에는 에도 부터 까지 라도 라는 들의 들이 들은 들을 들도 들 은 는 이
    가 을 를 에 의 로 도 만 요 보다 엔 선 물 극 류 편 작 판 풍 식 용 급 쪽 것 거 건 걸 껀 좀 등 위주로 위주
""".split()
# What turns a noun for a mood into an adjective: "감동적인", "긴장감 넘치는".
MOOD_ENDINGS = "적인 적이고 적으로 적이면서 적 스러운 스럽고 하는 한 하고 되는 되고 넘치는 가득한 나는 돋는 주는 할 하기".split()
# The ends of verbs and adverbs: a word that nobody knows and that ends so is not what a film is about.
VERB_ENDS = tuple(
    """
    리는 르는 지는 되는 치는 키는 오는 가는 있는 없는 있고 없고
    하고 하게 하면서 면서 는데 은데 지만 려고 으면 니까 해서 어서 아서 다가 세요 줘 줘요 까요 까 니다 네요 군요 어요 아요 해요 에요
    예요 거든 았던 었던 했던 다 게 길래 싶은 싶어 할 하는 하지 지 래 래요
    """.split()
)
