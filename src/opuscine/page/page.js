// The page of OpusCine: asks for films, and shows each as soon as the service has sent it.
//
// What comes from the service (titles, explanations, addresses) is written as text and never as markup; addresses become links
// only when they are http or https. Nothing is fetched but the service itself and posters of TMDB's image host.

const IMAGES = "https://image.tmdb.org/t/p/";
const IMAGE_PATH = /^\/[A-Za-z0-9._-]+$/;
const PER_PAGE = 12;
const SKELETONS = 4;
const HEALTH_INTERVAL_MS = 15_000;
const REGIONS = ["KR", "US", "JP", "GB", "CA", "AU", "DE", "FR", "IT", "ES", "BR", "IN", "TW", "HK"];
const EXAMPLES = {
  ko: ["비 오는 날 볼만한 잔잔한 영화", "2019년 한국 스릴러", "아이와 함께 볼 애니메이션", "넷플릭스에서 볼 수 있는 반전 영화", "가볍게 웃을 수 있는 시리즈"],
  en: ["A quiet film for a rainy evening", "Korean thrillers from 2019", "Animation to watch with my child", "Science fiction from the 1980s", "A series that makes me laugh"],
};

const TEXTS = {
  ko: {
    skip: "검색창으로 건너뛰기", navigation: "메뉴", language: "언어", apiDocs: "API 문서",
    question: "오늘은 어떤 영화를 볼까요?", lead: "기분이나 상황을 문장으로 적으면, 어울리는 작품과 볼 수 있는 곳을 찾아 드립니다.",
    wishLabel: "보고 싶은 영화를 문장으로", wishHint: "예: 비 오는 날 볼만한 잔잔한 영화", wishMissing: "어떤 영화가 좋을지 한 문장 적어 주세요.",
    search: "찾기", region: "볼 곳을 찾을 나라", ownRegion: "기본값", examples: "이런 문장은 어떨까요",
    films: "작품", popular: "많은 사람이 좋아한 작품", found: (wish) => `“${wish}”`,
    searching: "찾고 있습니다…", soFar: (n) => `${n}편 찾음, 더 찾는 중…`, total: (shown, all) => (all > shown ? `${all}편 가운데 ${shown}편` : `${shown}편`),
    announceFirst: (title) => `첫 작품: ${title}`, announceDone: (n) => `${n}편을 찾았습니다.`, announceStopped: (n) => `멈췄습니다. 지금까지 ${n}편입니다.`,
    stop: "멈추기", stopped: (n) => `멈춤 · ${n}편`, more: "더 보기", why: "추천한 이유",
    movie: "영화", tv: "시리즈", score: (n) => `평점 10점 만점에 ${n}`, votes: (n) => `${n}명`, readMore: "더 읽기", readLess: "접기",
    watch: "볼 수 있는 곳", unknownPlaces: "어디에서 볼 수 있는지 아직 알려지지 않았습니다.", newWindow: " (새 창)",
    type: { flatrate: "구독", free: "무료", ads: "광고", rent: "대여", buy: "구매" },
    source: { llm: "언어 모델이 고른 작품", cache: "조금 전에 고른 작품", catalogue: "카탈로그에서 고른 작품" },
    asOf: (day) => `자료 기준일 ${day}`, rejected: (n) => `카탈로그에서 확인되지 않아 제외한 제안 ${n}건`, where: (name) => `볼 곳: ${name}`,
    degraded: { catalogue: "언어 모델 대신 카탈로그가 답했습니다.", cache: "언어 모델 대신 전에 받은 답을 보여 드립니다." },
    reason: {
      llm_timeout: "모델이 제때 답하지 못했습니다.", llm_unavailable: "모델에 연결할 수 없습니다.", llm_error: "모델 서버에서 오류가 났습니다.",
      llm_bad_reply: "모델의 답을 읽을 수 없었습니다.", llm_empty: "모델의 답에 쓸 수 있는 작품이 없었습니다.",
      breaker_open: "모델이 잇따라 실패해 잠시 쉬게 하고 있습니다.", overloaded: "모델에 요청이 몰려 있습니다.",
    },
    match: {
      "id+title": "번호와 제목이 모두 맞음", id: "번호로 확인", "title+year": "제목과 연도가 맞음", "original_title+year": "원제와 연도가 맞음",
      "variant+year": "다른 표기의 제목과 연도가 맞음", "fuzzy+year": "비슷한 제목과 연도로 추정", title: "제목만 맞음", variant: "다른 표기의 제목만 맞음",
      catalogue: "카탈로그에서 바로 고름", unverified: "카탈로그에서 확인하지 못함",
    },
    sure: (score) => (score >= 0.95 ? "확실" : score >= 0.8 ? "거의 확실" : score >= 0.6 ? "그럴 듯함" : "불확실"), matched: "작품 확인",
    emptyTitle: "조건에 맞는 작품을 찾지 못했습니다", emptyText: "조건을 조금 줄이거나 다른 말로 적어 보세요.",
    health: "서비스 상태",
    part: { service: "서비스", llm: "언어 모델", redis: "Redis", catalogue: "카탈로그", api_server: "API 서버" },
    state: { UP: "정상", DOWN: "응답 없음", UNKNOWN: "확인 전", unused: "쓰지 않음", away: "연결 안 됨", degraded: "일부만 동작" },
    titles: (movies, series) => `영화 ${movies} · 시리즈 ${series}`,
    tmdb: "이 서비스는 TMDB API를 사용하지만 TMDB의 보증이나 인증을 받지 않았습니다.", sources: "작품 정보와 이미지: ", links: "볼 수 있는 곳: ",
    forgetKey: "API 키 지우기", keyForgotten: "API 키를 지웠습니다.",
    keyTitle: "API 키가 필요합니다", keyText: "이 서비스는 누가 부르는지 확인합니다. 키는 이 탭을 닫을 때까지만 보관합니다.",
    keyRefused: "이 키는 받아들여지지 않았습니다. 다시 확인해 주세요.", keyForbidden: "이 키로는 추천을 받을 수 없습니다.",
    keyLabel: "API 키", keyOdd: "키에는 빈칸이나 한글이 들어갈 수 없습니다.", keySave: "저장하고 다시 찾기", retry: "다시 시도", retryIn: (s) => `${s}초 뒤에 다시 시도`,
    requestId: (id) => `요청 번호 ${id}`,
    problem: {
      cut: ["연결이 중간에 끊겼습니다", "지금까지 받은 작품만 보입니다."], offline: ["서비스에 닿지 못했습니다", "네트워크를 확인하고 다시 시도해 주세요."],
      422: ["이 문장은 읽을 수 없습니다", "2,000자 이내로 다시 적어 주세요."], 429: ["요청이 너무 많습니다", "잠시 뒤에 다시 시도해 주세요."],
      502: ["모델의 답을 쓸 수 없었습니다", "다시 시도해 주세요."], 503: ["지금은 답할 수 없습니다", "곧 다시 시도해 주세요."],
      504: ["모델이 제때 답하지 못했습니다", "다시 시도해 주세요."], other: ["문제가 생겼습니다", "다시 시도해 주세요. 계속되면 요청 번호를 알려 주세요."],
    },
  },
  en: {
    skip: "Skip to the search field", navigation: "Menu", language: "Language", apiDocs: "API docs",
    question: "What shall we watch tonight?", lead: "Write down a mood or an occasion, and find films that suit it and where each can be watched.",
    wishLabel: "The film you would like, in a sentence", wishHint: "e.g. a quiet film for a rainy evening", wishMissing: "Write a sentence about the film you would like.",
    search: "Search", region: "Where to watch: country", ownRegion: "default", examples: "Some sentences to try",
    films: "Titles", popular: "Loved by many", found: (wish) => `“${wish}”`,
    searching: "Searching…", soFar: (n) => `${n} found, searching on…`, total: (shown, all) => (all > shown ? `${shown} of ${all} titles` : `${shown} ${shown === 1 ? "title" : "titles"}`),
    announceFirst: (title) => `First title: ${title}`, announceDone: (n) => `${n} ${n === 1 ? "title" : "titles"} found.`, announceStopped: (n) => `Stopped with ${n} ${n === 1 ? "title" : "titles"}.`,
    stop: "Stop", stopped: (n) => `stopped · ${n} ${n === 1 ? "title" : "titles"}`, more: "Show more", why: "Why these",
    movie: "Film", tv: "Series", score: (n) => `rated ${n} out of 10`, votes: (n) => `${n} votes`, readMore: "Read more", readLess: "Read less",
    watch: "Where to watch", unknownPlaces: "Where to watch this is not known yet.", newWindow: " (new window)",
    type: { flatrate: "subscription", free: "free", ads: "with ads", rent: "rent", buy: "buy" },
    source: { llm: "Chosen by the language model", cache: "Chosen a while ago", catalogue: "Chosen from the catalogue" },
    asOf: (day) => `Data as of ${day}`, rejected: (n) => `${n} ${n === 1 ? "suggestion" : "suggestions"} left out: not found in the catalogue`, where: (name) => `Where to watch: ${name}`,
    degraded: { catalogue: "The catalogue answered in place of the language model.", cache: "This is an earlier answer, in place of the language model's." },
    reason: {
      llm_timeout: "The model did not answer in time.", llm_unavailable: "The model could not be reached.", llm_error: "The model's server reported an error.",
      llm_bad_reply: "The model's answer could not be read.", llm_empty: "The model's answer held no title that can be shown.",
      breaker_open: "The model failed several times and is left alone for a moment.", overloaded: "The model has as many requests as it can take.",
    },
    match: {
      "id+title": "number and title agree", id: "confirmed by its number", "title+year": "title and year agree", "original_title+year": "original title and year agree",
      "variant+year": "another spelling of the title, and the year", "fuzzy+year": "guessed from a similar title and the year", title: "by title only", variant: "by another spelling of the title only",
      catalogue: "taken straight from the catalogue", unverified: "not confirmed by the catalogue",
    },
    sure: (score) => (score >= 0.95 ? "certain" : score >= 0.8 ? "almost certain" : score >= 0.6 ? "plausible" : "uncertain"), matched: "Identified",
    emptyTitle: "Nothing fits that wish", emptyText: "Try fewer conditions, or other words.",
    health: "State of the service",
    part: { service: "Service", llm: "Language model", redis: "Redis", catalogue: "Catalogue", api_server: "API server" },
    state: { UP: "up", DOWN: "down", UNKNOWN: "not checked", unused: "not in use", away: "out of reach", degraded: "partly up" },
    titles: (movies, series) => `${movies} films · ${series} series`,
    tmdb: "This product uses the TMDB API but is not endorsed or certified by TMDB.", sources: "Titles and images: ", links: "Where to watch: ",
    forgetKey: "Forget the API key", keyForgotten: "The API key is forgotten.",
    keyTitle: "An API key is needed", keyText: "This service asks who calls. The key is kept until this tab is closed, and no longer.",
    keyRefused: "That key was not accepted. Please check it.", keyForbidden: "That key may not ask for recommendations.",
    keyLabel: "API key", keyOdd: "A key holds no blanks and no letters beyond ASCII.", keySave: "Keep it and search again", retry: "Try again", retryIn: (s) => `Try again in ${s} s`,
    requestId: (id) => `Request ${id}`,
    problem: {
      cut: ["The connection broke off", "What had come until then is shown."], offline: ["The service could not be reached", "Check the network and try again."],
      422: ["That sentence can't be read", "Write it anew in at most 2,000 characters."], 429: ["Too many requests", "Please try again in a moment."],
      502: ["The model's answer could not be used", "Please try again."], 503: ["The service can't answer at present", "Please try again soon."],
      504: ["The model was too slow", "Please try again."], other: ["Something went wrong", "Please try again. If it lasts, pass on the request's number."],
    },
  },
};

// --- what the page knows ---------------------------------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);
const state = {
  language: recall(localStorage, "opuscine.language") ?? (navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en"),
  region: recall(localStorage, "opuscine.region") ?? "",
  key: recall(sessionStorage, "opuscine.key") ?? "",
  health: null, // the last answer of /health; null before the first, false when out of reach
  search: null, // see newSearch()
  problem: null, // {kind, requestId, retryAfter, refused}
  wishProblem: false,
};
const t = () => TEXTS[state.language];

function recall(storage, name) {
  try {
    return storage.getItem(name);
  } catch {
    return null; // a browser that keeps nothing is no reason to fail
  }
}

function keep(storage, name, value) {
  try {
    if (value) storage.setItem(name, value);
    else storage.removeItem(name);
  } catch {
    // as above
  }
}

function newSearch(wish) {
  return { wish, page: 0, films: [], said: "", rest: null, phase: "running", controller: new AbortController(), fresh: 0 };
}

// --- small parts -----------------------------------------------------------------------------------------------------------------

/** Make an element; children that are strings become text. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made && key !== "lang") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

function drawing(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** Say of a foreign text in which language it is, so that a screen reader pronounces it right. */
function spoken(text) {
  const language = /[\uac00-\ud7a3]/.test(text) ? "ko" : /[\u3040-\u30ff]/.test(text) ? "ja" : /^[\p{Script=Latin}\p{P}\p{S}\p{N}\s]+$/u.test(text) ? "en" : "";
  return language && language !== state.language ? { lang: language } : {};
}

/** Return an address that may be linked to, or null. */
function linkable(address) {
  try {
    const url = new URL(address);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

function number(value) {
  return new Intl.NumberFormat(state.language).format(value);
}

function regionName(code) {
  try {
    return new Intl.DisplayNames([state.language], { type: "region" }).of(code) ?? code;
  } catch {
    return code;
  }
}

function credentials() {
  return state.key ? { "X-Api-Key": state.key } : {};
}

function announce(text) {
  $("status").textContent = text;
}

// --- posters ---------------------------------------------------------------------------------------------------------------------

/** Return a function that gives the same numbers from 0 to 1 for the same text (FNV-1a, then mulberry32). */
function chance(text) {
  let seed = 0x811c9dc5;
  for (const sign of text) seed = Math.imul(seed ^ sign.codePointAt(0), 0x01000193);
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// Sky above, sky below, the near dark, the light: pairs that go together, all dark enough for a white title.
const PALETTES = [
  ["#2b4a6f", "#0f1830", "#0a1020", "#f3d9a4"],
  ["#7a3b34", "#26121c", "#180a12", "#f6c08a"],
  ["#2f5d57", "#0d2226", "#081619", "#f2e3b6"],
  ["#57406e", "#1b1230", "#110b20", "#f0b9c0"],
  ["#8a5a2b", "#2a1712", "#1a0d0a", "#ffe0a3"],
  ["#3d4b5c", "#151a23", "#0c1016", "#e6e9ee"],
  ["#6b2f4a", "#200d1e", "#150814", "#ffc7a0"],
  ["#45552f", "#151d10", "#0d130a", "#eedc9a"],
];
const MOTIFS = [
  // a moon over the sea, and its light on the water
  (next, dark, light) => {
    const [x, y, r] = [60 + next() * 80, 84 + next() * 20, 28 + next() * 16];
    return [
      drawing("circle", { cx: x, cy: y, r: r * 1.9, fill: light, opacity: 0.12 }),
      drawing("circle", { cx: x, cy: y, r, fill: light }),
      drawing("rect", { y: 172, width: 200, height: 130, fill: dark, opacity: 0.55 }),
      ...Array.from({ length: 7 }, (_, row) => {
        const width = 14 + next() * 54;
        return drawing("rect", { x: x - width / 2 + (next() - 0.5) * 16, y: 180 + row * 12, width, height: 3, rx: 1.5, fill: light, opacity: 0.62 - row * 0.07 });
      }),
    ];
  },
  // mountains, one behind the other
  (next, dark, light) => [
    drawing("circle", { cx: 130 + next() * 30, cy: 76, r: 20 + next() * 10, fill: light }),
    ...[0, 1, 2].map((row) => drawing("path", { d: ridge(next, 150 + row * 40), fill: dark, opacity: 0.38 + row * 0.26 })),
  ],
  // rings, as of a lens
  (next, dark, light) => {
    const [x, y] = [70 + next() * 60, 100 + next() * 30];
    return [
      ...[128, 102, 78, 56].map((r) => drawing("circle", { cx: x, cy: y, r, fill: dark, opacity: 0.3 })),
      ...[128, 102, 78, 56, 36].map((r) => drawing("circle", { cx: x, cy: y, r, fill: "none", stroke: light, "stroke-width": 1.2, opacity: 0.45 })),
      drawing("circle", { cx: x, cy: y, r: 17, fill: light }),
    ];
  },
  // the beam of a projector
  (next, dark, light) => {
    const x = 148 + next() * 34;
    return [
      ...[0, 1, 2].map((beam) => drawing("path", { d: `M${x} 44 L${-60 + beam * 46} 320 L${96 + beam * 14} 320 Z`, fill: light, opacity: 0.12 })),
      ...Array.from({ length: 16 }, () => drawing("circle", { cx: 20 + next() * 120, cy: 90 + next() * 160, r: 0.6 + next() * 1.6, fill: light, opacity: 0.6 })),
      drawing("circle", { cx: x, cy: 44, r: 24, fill: light, opacity: 0.18 }),
      drawing("circle", { cx: x, cy: 44, r: 10, fill: light }),
    ];
  },
  // a town at night
  (next, dark, light) => {
    const houses = Array.from({ length: 8 }, (_, house) => ({ x: house * 26 - 6, y: 138 + next() * 84 }));
    return [
      drawing("circle", { cx: 44 + next() * 110, cy: 70, r: 17, fill: light }),
      ...houses.map(({ x, y }) => drawing("rect", { x: x - 13, y: y - 26, width: 25, height: 240, fill: dark, opacity: 0.4 })),
      ...houses.map(({ x, y }) => drawing("rect", { x, y, width: 25, height: 200, fill: dark })),
      ...houses.flatMap(({ x, y }) => [0, 1, 2, 3, 4].filter(() => next() < 0.42).map((row) => drawing("rect", { x: x + (next() < 0.5 ? 5 : 14), y: y + 10 + row * 15, width: 5, height: 7, fill: light, opacity: 0.85 }))),
    ];
  },
  // a road towards the light
  (next, dark, light) => {
    const x = 70 + next() * 60;
    return [
      drawing("circle", { cx: x, cy: 150, r: 44 + next() * 14, fill: light, opacity: 0.9 }),
      drawing("rect", { y: 150, width: 200, height: 160, fill: dark }),
      drawing("path", { d: `M${x - 3} 150 h6 L${x + 96} 310 H${x - 96} Z`, fill: light, opacity: 0.14 }),
      ...[0, 1, 2, 3].map((dash) => drawing("path", { d: `M${x - 0.6 - dash} ${164 + dash * 30} h${1.2 + dash * 2} l${1 + dash} ${12 + dash * 4} h${-3.2 - dash * 4} Z`, fill: light, opacity: 0.7 })),
    ];
  },
];

function ridge(next, y) {
  const peaks = [0, 34, 66, 100, 134, 168, 204].map((x, peak) => `L${x} ${y + (peak % 2 ? -1 : 1) * (6 + next() * 26)}`).join(" ");
  return `M-10 ${y} ${peaks} L210 320 H-10 Z`;
}

/** Draw a poster for a title: the same for the same title, whatever TMDB's image host does. */
function standIn(title) {
  const next = chance(title);
  const [high, low, dark, light] = PALETTES[Math.floor(next() * PALETTES.length)];
  const sky = `sky-${standIn.made++}`;
  return drawing(
    "svg",
    { viewBox: "0 0 200 300", preserveAspectRatio: "xMidYMid slice", class: "stand-in", focusable: "false" },
    drawing(
      "linearGradient",
      { id: sky, x1: 0, y1: 0, x2: 0.2, y2: 1 },
      drawing("stop", { offset: 0, "stop-color": high }),
      drawing("stop", { offset: 0.85, "stop-color": low }),
    ),
    drawing("rect", { width: 200, height: 300, fill: `url(#${sky})` }),
    ...MOTIFS[Math.floor(next() * MOTIFS.length)](next, dark, light),
  );
}
standIn.made = 0;

/** Make a poster: the drawing with the title at once, TMDB's image over it when that has come. */
function poster(film) {
  const frame = element("div", { className: "poster", "aria-hidden": "true" }, standIn(film.title), element("span", { className: "poster-title" }, film.title));
  if (IMAGE_PATH.test(film.poster_path)) {
    const image = element("img", { alt: "", decoding: "async", loading: "lazy", referrerPolicy: "no-referrer", width: 342, height: 513 });
    image.addEventListener("load", () => image.classList.add("there"));
    image.addEventListener("error", () => image.remove());
    image.src = `${IMAGES}w342${film.poster_path}`;
    frame.append(image);
  }
  return frame;
}

// --- films -----------------------------------------------------------------------------------------------------------------------

function card(film, { matched = true } = {}) {
  const year = /^\d{4}/.exec(film.release_date)?.[0];
  const rating = film.vote_average > 0 ? film.vote_average.toFixed(1) : "";
  return element(
    "li",
    { className: "card", tabIndex: -1 },
    poster(film),
    element(
      "div",
      { className: "about" },
      element("h3", spoken(film.title), film.title),
      film.original_title && film.original_title !== film.title ? element("p", { className: "original", ...spoken(film.original_title) }, film.original_title) : null,
      element(
        "p",
        { className: "facts" },
        year ? element("span", {}, year) : null,
        " ",
        element("span", {}, t()[film.media_type] ?? film.media_type),
        " ",
        rating
          ? element(
              "span",
              { className: "rating" },
              element("span", { "aria-hidden": "true" }, `★ ${rating}`),
              element("span", { className: "unseen" }, t().score(rating)),
              film.vote_count > 0 ? element("small", {}, ` ${t().votes(number(film.vote_count))}`) : null,
            )
          : null,
      ),
      overview(film.overview),
      matched ? match(film.match) : null,
      places(film.ott_links),
    ),
  );
}

function overview(text) {
  if (!text) return null;
  const shown = element("p", { className: "overview", ...spoken(text) }, text);
  const toggle = element("button", { type: "button", className: "link", hidden: true, "aria-expanded": "false" }, t().readMore);
  toggle.addEventListener("click", () => {
    const open = shown.classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(open));
    toggle.textContent = open ? t().readLess : t().readMore;
  });
  requestAnimationFrame(() => (toggle.hidden = shown.scrollHeight <= shown.clientHeight + 1));
  return element("div", { className: "overview-box" }, shown, toggle);
}

/** Say how a film was tied to the catalogue, and how surely. */
function match({ method, score }) {
  const doubtful = method === "unverified" || score < 0.8;
  return element(
    "p",
    { className: doubtful ? "match doubtful" : "match" },
    element("span", { className: "match-mark", "aria-hidden": "true" }, doubtful ? "?" : "✓"),
    element("span", {}, `${t().matched}: ${t().match[method] ?? method} · ${t().sure(score)} (${score.toFixed(2)})`),
  );
}

function places(links) {
  if (!links.length) return element("p", { className: "places-unknown" }, t().unknownPlaces);
  return element(
    "div",
    { className: "places" },
    element("p", { className: "places-title" }, t().watch),
    element("ul", {}, ...links.map((link) => element("li", {}, badge(link)))),
  );
}

function badge(link) {
  const href = linkable(link.link);
  const inside = [
    IMAGE_PATH.test(link.logo_path) ? logo(link.logo_path) : "",
    element("span", { className: "badge-name" }, link.provider_name),
    " ",
    element("span", { className: "badge-type" }, t().type[link.type] ?? link.type),
  ];
  if (href === null) return element("span", { className: "badge" }, ...inside);
  const anchor = element("a", { className: "badge", href, target: "_blank", rel: "noopener noreferrer" }, ...inside);
  anchor.append(element("span", { className: "unseen" }, t().newWindow));
  return anchor;
}

function logo(path) {
  const image = element("img", { className: "badge-logo", alt: "", width: 18, height: 18, hidden: true, referrerPolicy: "no-referrer" });
  image.addEventListener("load", () => (image.hidden = false));
  image.addEventListener("error", () => image.remove());
  image.src = `${IMAGES}w45${path}`;
  return image;
}

function skeleton() {
  return element(
    "li",
    { className: "card skeleton", "aria-hidden": "true" },
    element("div", { className: "poster" }),
    element("div", { className: "about" }, ...["wide", "narrow", "line", "line", "line"].map((kind) => element("span", { className: `bone ${kind}` }))),
  );
}

// --- the results -----------------------------------------------------------------------------------------------------------------

/** Write the results from what is known; `cards: false` leaves those that are there, which someone may be reading. */
function showResults({ cards = true } = {}) {
  const search = state.search;
  $("results").hidden = search === null;
  if (search === null) return;
  const popular = search.wish === null;
  $("results-title").textContent = popular ? t().popular : t().found(search.wish);
  if (cards) $("films").replaceChildren(...search.films.map((film) => card(film, { matched: !popular })));
  for (const waiting of $("films").querySelectorAll(".skeleton")) waiting.remove();
  if (search.phase === "running") $("films").append(...Array.from({ length: SKELETONS }, skeleton));
  $("films").setAttribute("aria-busy", String(search.phase === "running"));
  showProgress();
  showNotes();
  const nothing = search.phase === "done" && search.films.length === 0;
  $("empty").hidden = !nothing;
  $("empty").replaceChildren(...(nothing ? [element("h3", {}, t().emptyTitle), element("p", {}, t().emptyText)] : []));
  const follow = search.rest?.query_info.follow_up_suggestions ?? "";
  $("follow").textContent = search.phase === "done" ? follow : "";
  const pages = search.rest?.query_info.pagination.total_pages ?? 0;
  $("more").hidden = popular || search.phase !== "done" || search.page >= pages || search.fresh === 0;
}

function showProgress() {
  const { phase, films, rest, wish } = state.search;
  const shown = films.length;
  $("stop").hidden = phase !== "running" || wish === null;
  if (wish === null) $("count").textContent = "";
  else if (phase === "running") $("count").textContent = shown ? t().soFar(number(shown)) : t().searching;
  else if (phase === "stopped") $("count").textContent = t().stopped(number(shown));
  else $("count").textContent = shown ? t().total(shown, rest?.total_results ?? shown) : "";
}

/** Show what holds for all films: whether the model answered, its explanation, where the films come from. */
function showNotes() {
  const { rest, said, phase, wish } = state.search;
  const notes = [];
  if (wish !== null) {
    if (rest?.data.degraded) {
      const reason = rest.data.degraded_reason;
      notes.push(element("p", { className: "degraded" }, element("strong", {}, t().degraded[rest.data.source] ?? t().degraded.catalogue), " ", t().reason[reason] ?? reason ?? ""));
    }
    if (said) {
      notes.push(element("div", { className: "why" }, element("h3", {}, t().why), element("p", spoken(said), said)));
    } else if (phase === "running") {
      notes.push(element("div", { className: "why waiting", "aria-hidden": "true" }, element("span", { className: "bone wide" }), element("span", { className: "bone line" })));
    }
    if (rest) notes.push(element("ul", { className: "provenance" }, ...provenance(rest).map((text) => element("li", {}, text))));
  }
  $("notes").replaceChildren(...notes);
}

function provenance({ data, query_info: info }) {
  return [
    t().source[data.source] ?? data.source,
    info.user_intent_analysis,
    t().where(regionName(data.region)),
    data.as_of && t().asOf(data.as_of.slice(0, 10)),
    data.rejected > 0 && t().rejected(number(data.rejected)),
  ].filter(Boolean);
}

/** Put a film where the first skeleton stands. */
function addFilm(film) {
  const search = state.search;
  search.films.push(film);
  search.fresh += 1;
  const made = card(film);
  made.classList.add("arriving");
  const waiting = $("films").querySelector(".skeleton");
  if (waiting === null) $("films").append(made);
  else waiting.replaceWith(made);
  if (search.fresh === 1) {
    announce(t().announceFirst(film.title));
    if (search.page > 1) made.focus();
  }
  showProgress();
}

// --- asking ----------------------------------------------------------------------------------------------------------------------

async function searchFor(wish) {
  state.search?.controller.abort();
  state.search = newSearch(wish);
  document.body.classList.add("searched");
  await nextPage();
}

/** Ask for the next page of the present search and show its films as they come. */
async function nextPage() {
  const search = state.search;
  Object.assign(search, { page: search.page + 1, phase: "running", fresh: 0, controller: new AbortController() });
  if (search.page === 1) Object.assign(search, { films: [], said: "", rest: null });
  state.problem = null;
  showProblem();
  showResults({ cards: search.page === 1 });
  bringIntoView($("results"));
  announce(t().searching);
  try {
    await receive(search);
    search.phase = "done";
  } catch (error) {
    if (state.search !== search) return; // another search has taken its place
    search.phase = "stopped";
    if (error.name !== "AbortError") {
      state.problem = error instanceof ServiceProblem ? error.problem : { kind: search.fresh > 0 ? "cut" : "offline" };
      if (search.fresh === 0) search.page -= 1;
    }
  }
  if (state.search !== search) return;
  const wasThere = document.activeElement;
  showResults({ cards: false });
  $("results").hidden = state.problem !== null && search.films.length === 0;
  showProblem();
  announce(search.phase === "done" ? t().announceDone(number(search.films.length)) : t().announceStopped(number(search.films.length)));
  if (state.problem) focusProblem();
  else if (wasThere === $("stop") || (wasThere === $("more") && search.fresh === 0)) $("results-title").focus();
}

class ServiceProblem extends Error {
  constructor(problem) {
    super(problem.kind);
    this.problem = problem;
  }
}

async function receive(search) {
  const response = await fetch("api/movies/recommend", {
    method: "POST",
    headers: { Accept: "text/event-stream", "Content-Type": "application/json", ...credentials() },
    body: JSON.stringify({ message: search.wish, page: search.page, limit: PER_PAGE, ...(state.region && { region: state.region }) }),
    signal: search.controller.signal,
    credentials: "omit", // and no `cache`: its values send Cache-Control, which would have the model asked anew
  });
  if (!response.ok || response.body === null) throw new ServiceProblem(await readProblem(response));
  for await (const { name, data } of events(response.body)) {
    if (state.search !== search) return;
    if (name === "movie") addFilm(data);
    else if (name === "message") {
      search.said ||= data.text;
      showNotes();
    } else if (name === "done") {
      search.rest = data;
      return;
    } else if (name === "error") {
      throw new ServiceProblem({ kind: search.fresh > 0 ? "cut" : data.status, requestId: data.request_id, retryAfter: 1 });
    }
  }
  throw new ServiceProblem({ kind: search.fresh > 0 ? "cut" : "offline" }); // it ended without its last event
}

/** Yield server-sent events (WHATWG HTML, section 9.2.6); those of the service are JSON on one line. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value.replaceAll("\r", "")).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = { event: "message", data: "" };
        for (const line of block.split("\n")) {
          const [, field, text] = /^(event|data): ?(.*)$/.exec(line) ?? [];
          if (field === "event") fields.event = text;
          else if (field === "data") fields.data += text;
        }
        if (fields.data) yield { name: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function readProblem(response) {
  const body = await response.json().catch(() => ({}));
  const refused = response.status === 401 && state.key !== "";
  if (refused) setKey(""); // asking on with it would use up the attempts of this address
  return { kind: response.status, refused, requestId: String(body.request_id ?? ""), retryAfter: Number(response.headers.get("Retry-After")) || 0 };
}

// --- problems --------------------------------------------------------------------------------------------------------------------

function showProblem() {
  const problem = state.problem;
  $("problem").hidden = problem === null;
  if (problem === null) return $("problem").replaceChildren();
  const asksForKey = problem.kind === 401 || problem.kind === 403;
  const [title, text] = asksForKey ? [t().keyTitle, problem.refused ? t().keyRefused : problem.kind === 403 ? t().keyForbidden : t().keyText] : (t().problem[problem.kind] ?? t().problem.other);
  $("problem").replaceChildren(
    element("h2", { id: "problem-title" }, title),
    element("p", {}, text),
    asksForKey ? keyForm() : retryButton(problem),
    problem.requestId ? element("p", { className: "request-id" }, t().requestId(problem.requestId)) : "",
  );
}

function focusProblem() {
  const field = $("problem").querySelector("input");
  (field ?? $("problem")).focus();
  bringIntoView($("problem"));
}

function retryButton(problem) {
  const button = element("button", { type: "button", className: "primary" }, t().retry);
  button.addEventListener("click", () => {
    $("results-title").focus();
    retry();
  });
  const count = (seconds) => {
    button.disabled = seconds > 0;
    button.textContent = seconds > 0 ? t().retryIn(seconds) : t().retry;
    if (seconds > 0) setTimeout(() => count(seconds - 1), 1000);
    problem.retryAfter = seconds;
  };
  count(problem.retryAfter ?? 0);
  return button;
}

function retry() {
  if (state.problem?.kind === "cut") state.search.page = 0;
  nextPage();
}

function keyForm() {
  const field = element("input", { id: "key", type: "password", autocomplete: "off", spellcheck: false, required: true, "aria-describedby": "key-problem" });
  const odd = element("p", { id: "key-problem", className: "field-problem", role: "alert" });
  const form = element(
    "form",
    { className: "key-form" },
    element("label", { htmlFor: "key" }, t().keyLabel),
    element("div", { className: "key-row" }, field, element("button", { type: "submit", className: "primary" }, t().keySave)),
    odd,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = field.value.trim();
    if (!/^[\x21-\x7e]+$/.test(key)) {
      odd.textContent = t().keyOdd;
      return field.focus();
    }
    setKey(key);
    $("wish").focus();
    nextPage();
    pollHealth();
  });
  return form;
}

function setKey(key) {
  state.key = key;
  keep(sessionStorage, "opuscine.key", key);
  $("forget").hidden = key === "";
}

// --- the state of the service ----------------------------------------------------------------------------------------------------

let healthTimer = 0;

/** Ask how the service is, now and then, but not while nobody looks. */
async function pollHealth() {
  clearTimeout(healthTimer);
  if (document.hidden) return;
  try {
    const response = await fetch("health", { headers: { Accept: "application/json", ...credentials() }, credentials: "omit", cache: "no-store" });
    const body = await response.json();
    state.health = body.components ? body : false;
  } catch {
    state.health = false;
  }
  showHealth();
  clearTimeout(healthTimer);
  healthTimer = setTimeout(pollHealth, HEALTH_INTERVAL_MS);
}

function showHealth() {
  const health = state.health;
  if (health === null) return;
  if (health === false) return $("health").replaceChildren(part("service", "away"));
  const parts = ["llm", "redis", "catalogue", "api_server"].map((name) => {
    const { status, details } = health.components[name];
    const more = name === "catalogue" && status === "UP" ? t().titles(number(health.movie_count), number(health.tv_count)) : "";
    return part(name, details.configured === false ? "unused" : status, more);
  });
  $("health").replaceChildren(part("service", health.status === "DOWN" ? "DOWN" : health.degraded ? "degraded" : "UP"), ...parts);
}

function part(name, status, more = "") {
  return element(
    "li",
    { className: "part", "data-status": status },
    element("span", { className: "lamp", "aria-hidden": "true" }),
    element("span", { className: "part-name" }, t().part[name]),
    " ", // between words for those who hear them; nobody sees it
    element("span", { className: "part-state" }, [t().state[status] ?? status, more].filter(Boolean).join(" · ")),
  );
}

// --- everything around -----------------------------------------------------------------------------------------------------------

function bringIntoView(part) {
  const { top } = part.getBoundingClientRect();
  if (top > 0 && top < innerHeight * 0.6) return;
  part.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function showTexts() {
  document.documentElement.lang = state.language;
  document.title = `OpusCine · ${t().question}`;
  for (const part of document.querySelectorAll("[data-text]")) part.textContent = t()[part.dataset.text];
  for (const part of document.querySelectorAll("[data-label]")) part.setAttribute("aria-label", t()[part.dataset.label]);
  for (const part of document.querySelectorAll("[data-placeholder]")) part.setAttribute("placeholder", t()[part.dataset.placeholder]);
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === state.language));
  const regions = REGIONS.includes(state.region) || !state.region ? REGIONS : [state.region, ...REGIONS];
  $("region").replaceChildren(
    element("option", { value: "" }, t().ownRegion),
    ...regions.map((code) => element("option", { value: code, selected: code === state.region }, regionName(code))),
  );
  $("examples").replaceChildren(
    ...EXAMPLES[state.language].map((wish) => {
      const button = element("button", { type: "button", className: "example" }, wish);
      button.addEventListener("click", () => {
        $("wish").value = wish;
        submit();
        $("results-title").focus({ preventScroll: true }); // the button is gone now; the field would raise a phone's keyboard
      });
      return element("li", {}, button);
    }),
  );
  showWishProblem();
}

function showWishProblem() {
  $("wish-problem").textContent = state.wishProblem ? t().wishMissing : "";
  $("wish").setAttribute("aria-invalid", String(state.wishProblem));
}

function submit() {
  const wish = $("wish").value.trim();
  state.wishProblem = wish === "";
  showWishProblem();
  if (state.wishProblem) return $("wish").focus();
  searchFor(wish);
}

/** Fill the page before the first search with what many people like; a service that asks for a key first shows nothing here. */
async function showPopular() {
  try {
    const response = await fetch(`api/movies/popular?limit=${PER_PAGE}${state.region && `&region=${state.region}`}`, { headers: credentials(), credentials: "omit" });
    const films = response.ok ? (await response.json()).movies : [];
    if (films.length === 0 || (state.search !== null && state.search.wish !== null)) return;
    state.search = { ...newSearch(null), films, phase: "done" };
    showResults();
  } catch {
    // the page is as good without
  }
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("stop").addEventListener("click", () => state.search?.controller.abort());
$("more").addEventListener("click", nextPage);
$("forget").addEventListener("click", () => {
  setKey("");
  announce(t().keyForgotten);
  $("wish").focus();
  pollHealth();
});
$("region").addEventListener("change", () => {
  state.region = $("region").value;
  keep(localStorage, "opuscine.region", state.region);
  if (state.search?.wish === null) showPopular();
});
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    state.language = button.dataset.language;
    keep(localStorage, "opuscine.language", state.language);
    showTexts();
    showResults();
    if (state.problem) showProblem();
    showHealth();
  });
}
document.addEventListener("visibilitychange", pollHealth);

setKey(state.key);
showTexts();
pollHealth();
showPopular();
