"""What a visitor might ask to hear, by the kind of sound that answers it."""

from __future__ import annotations

from dataclasses import dataclass

_TEXTS = {
    "rain": (
        "Gentle rain on a tin roof",
        "Heavy rain on broad leaves, close",
        "Rain against the window of a night train",
        "Regen auf dem Dach der alten Mühle",
        "Nieselregen über dem Weiher, früh am Morgen",
        "静かな雨、寺の庭",
        "☔ city rain, tyres on wet asphalt",
    ),
    "waves": (
        "Slow waves on a pebble beach",
        "Waves breaking under a wooden pier",
        "Distant surf heard from the dunes",
        "Small waves lapping at a boat hull",
        "Brandung an der Steilküste, Möwen weit weg",
        "波の音、夕方の浜辺",
        "🌊 big Atlantic swell, low and slow",
    ),
    "wind": (
        "Wind in tall dry grass",
        "Cold wind through a mountain hut",
        "Gusts around the corner of a tower block",
        "Wind in the rigging of moored boats",
        "Föhn im Gebälk der Scheune",
        "竹林を渡る風",
        "Soft   wind  in   pines",
    ),
    "birds": (
        "Dawn chorus in a beech forest",
        "A single blackbird on a chimney",
        "Sparrows in a courtyard hedge",
        "Swifts screaming over roofs, summer evening",
        "Vogelgesang im Schlosspark im Mai",
        "うぐいす、春の山",
        "🐦 birds, nothing but birds",
    ),
    "crickets": (
        "Crickets on a warm night",
        "Field crickets with a far-off road",
        "One cricket inside a stone wall",
        "Grasshoppers in a dry meadow at noon",
        "Grillen am Feldrand, Hochsommer",
        "鈴虫の鳴く秋の夜",
        "Night insects near a slow river",
    ),
    "bells": (
        "Temple bell struck once, long decay",
        "Church bells across a valley on Sunday",
        "Small brass bells in the wind",
        "Goat bells on an alpine pasture",
        "Kuhglocken auf der Alm, Nebel",
        "除夜の鐘",
        "Ship's bell in fog",
    ),
    "train": (
        "Night train passing far away",
        "Freight train over an iron bridge",
        "Inside an old carriage, wheels on joints",
        "Tram turning into a narrow street",
        "Dampflok am Berg, schwerer Zug",
        "踏切と電車",
        "🚂 steam engine leaving the station",
    ),
    "thunder": (
        "Distant thunder over the plain",
        "Close thunder crack and long rumble",
        "Thunderstorm moving away at night",
        "Rolling thunder among mountains",
        "Sommergewitter hinter dem Hügel",
        "遠雷",
        "⛈️ storm over the harbour",
    ),
    "stream": (
        "Mountain stream between stones",
        "Small brook in a forest, close",
        "Water dripping in a cave",
        "Fountain in an inner courtyard",
        "Bächlein unter der Holzbrücke",
        "谷川のせせらぎ",
        "Water wheel turning slowly",
    ),
    "fire": (
        "Campfire crackling, no wind",
        "Fireplace in a quiet room",
        "Bonfire on the beach at midnight",
        "Embers settling in a stove",
        "Lagerfeuer im Wald, nasses Holz",
        "囲炉裏の火",
        "🔥 fire, warm and close",
    ),
    "traffic": (
        "City traffic from a fifth-floor balcony",
        "Motorway heard through a forest",
        "Cars on a wet ring road at night",
        "Buses at a crossroads, rush hour",
        "Feierabendverkehr am Stadtring",
        "渋谷の交差点",
        "Scooters in a narrow old town",
    ),
    "market": (
        "Market voices under a glass roof",
        "Crowd murmuring before a concert",
        "Station hall full of people",
        "Voices in a café, cups and spoons",
        "Stimmengewirr auf dem Wochenmarkt",
        "朝市のにぎわい",
        "Children in a school yard far away",
    ),
    "horn": (
        "Fog horn in the outer harbour",
        "Ferry departing, two long blasts",
        "Alphorn über dem See",
        "汽笛、港の夜",
        "brand: opening signal",
        "brand: Closing signal, soft",
        "showreel: harbour at dawn",
        "test tone, please ignore",
        "debug loop 440 Hz",
        "temp horn for the Tuesday TEST",
        "Horn with \x1b[31mred\x1b[0m control characters",
    ),
}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text, the kind of sound that answers it, and its number, from which its text vectors are made."""

    number: int
    text: str
    kind: str


PROMPTS = tuple(
    Prompt(number, text, kind)
    for number, (kind, text) in enumerate((kind, text) for kind, texts in _TEXTS.items() for text in texts)
)
