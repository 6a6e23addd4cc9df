"""What is spelled: names, addresses, telephone numbers and web addresses, as in the Kaggle set."""

import string

import numpy as np

from pipeline.synthesis import random_streams
from pipeline.synthesis.random_streams import Stream

MIN_LENGTH = 3
MAX_LENGTH = 31


def _words(text: str) -> list[str]:
    """The words of `text`, in which an underscore stands for a space within a word."""
    return [word.replace("_", " ") for word in text.split()]


_FIRST_NAMES = _words(
    "abigail adrian beatrice carlos daphne derek elena felix gwen hector ingrid jasper joaquin katherine leo marguerite"
    " max naomi oscar paula quentin rosa samuel tamara ursula vincent wendy xavier yolanda zachary"
)
_LAST_NAMES = _words(
    "abbott baxter cho de-jong ellison fitzgerald garcia hawkins ivanova jennings kowalski lindqvist montgomery nguyen"
    " o'brien pfeiffer quinn rodriguez schwartz takahashi underwood vazquez whitfield yamamoto zimmerman"
)
_STREETS = _words(
    "acorn bellevue cedar deer_creek eagle_ridge fox_hollow grand highland jackson_mill kings lakeview maple"
    " northwest_41st old_quarry pine_valley quail river_bend sycamore twin_oaks upper_basin vista_del_mar willow"
)
_STREET_KINDS = _words("ave avenue boulevard circle court drive hwy lane place road st street trail way")
_TOWNS = _words("ashford_wa bel_air brookfield_ny cedar_falls dry_lake_nv east_haven elko fairview_tn glenwood juneau")
_SITE_WORDS = _words(
    "atlas bike blue cafe craft daily fjord garden green home jazz kiosk lumen maps moto news north open photo pixel"
    " quick river sky tea travel vivid web xpress zoo"
)
_SITE_ENDINGS = _words(".com .com .com .org .net .edu .co.uk .de .fr .info .io .jp")


def make_phrase(index: int, seed: int) -> str:
    """What clip `index` spells: `MIN_LENGTH` to `MAX_LENGTH` characters of the vocabulary."""
    rng = random_streams.generator(seed, Stream.PHRASE, index)
    kinds = (_person, _address, _telephone, _web_address)
    while True:
        phrase = kinds[rng.choice(4, p=(0.26, 0.3, 0.2, 0.24))](rng)
        if MIN_LENGTH <= len(phrase) <= MAX_LENGTH:
            return phrase


def _person(rng: np.random.Generator) -> str:
    first, last = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES)
    middle = f" {rng.choice(list(string.ascii_lowercase))} " if rng.random() < 0.2 else " "
    if rng.random() < 0.15:
        last += f"-{rng.choice(_LAST_NAMES)}"
    return f"{first}{middle}{last}"


def _address(rng: np.random.Generator) -> str:
    number = rng.integers(1, 10 ** rng.integers(2, 6))
    address = f"{number} {rng.choice(_STREETS)} {rng.choice(_STREET_KINDS)}"
    if rng.random() < 0.12:
        return f"{address} #{rng.integers(1, 99)}"
    if rng.random() < 0.15:
        return f"{address}{rng.choice((' ', ', '))}{rng.choice(_TOWNS)}"
    return address


def _telephone(rng: np.random.Generator) -> str:
    area, line = _digits(rng, 3), _digits(rng, 4)
    forms = (
        f"{area}-555-{line}",
        f"({area}) 555-{line}",
        f"1-{area}-555-{line}",
        f"+{rng.integers(20, 99)}-{_digits(rng, 2)}-{area}-{line}-{_digits(rng, 2)}",
        f"+{rng.integers(1, 9)}-{area}-555-{line}",
        f"+{rng.integers(200, 999)}-{_digits(rng, 2)}-{area}-{line[:2]}",
    )
    return str(rng.choice(forms))


def _web_address(rng: np.random.Generator) -> str:
    words = rng.choice(_SITE_WORDS, 5)
    site = f"{words[0]}{rng.choice(('', '-', ''), p=(0.5, 0.3, 0.2))}{words[1]}{rng.choice(_SITE_ENDINGS)}"
    if rng.random() < 0.06:
        return f"{words[2]}{rng.choice(('.', '_', ''))}{words[3]}@{site}"
    start = rng.choice(("", "www.", "https://", "http://www."), p=(0.45, 0.3, 0.19, 0.06))
    paths = (
        "",
        f"/{words[2]}",
        f"/{words[2]}-{words[3]}",
        f"/{words[2]}_{words[3]}",
        f"/{words[2]}/{words[3]}",
        f"/{words[2]}.html",
        f"/~{words[2]}",
        f"/?{words[2][0]}={_digits(rng, 2)}",
        f"/{words[2]}?id={_digits(rng, 3)}&p={_digits(rng, 1)}",
        f"/{words[2]}%20{words[3]}",
    )
    path = rng.choice(paths, p=(0.35, 0.22, 0.09, 0.08, 0.09, 0.06, 0.03, 0.03, 0.03, 0.02))
    return f"{start}{site}{path}"


def _digits(rng: np.random.Generator, count: int) -> str:
    return "".join(str(digit) for digit in rng.integers(0, 10, count))
