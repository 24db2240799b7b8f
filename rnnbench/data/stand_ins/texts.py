"""Made-up archives with the layout of the real ones: texts and scores."""

import json
from pathlib import Path

import numpy as np

from rnnbench.data.pronunciation import MEMBER
from rnnbench.data.stand_ins.archives import wheel


def review_lines(count: int = 400) -> str:
    """Reviews whose words tell their rating; the first stands twice."""
    random = np.random.default_rng(0)
    lines = []
    for number in range(count):
        rating = float(random.uniform(-4, 4))
        word = ("dreadful", "poor", "plain", "good", "splendid")[int(np.digitize(rating, (-2.4, -0.8, 0.8, 2.4)))]
        extra = " ".join(f"w{index}" for index in random.integers(0, 300, random.integers(0, 12)))
        lines.append(f"{number}\t{rating}\tA {word} film, number{number} {extra}".rstrip())
    lines.append(lines[0].replace("0\t", "999\t", 1))
    return "\n".join(lines) + "\n"


def tagged_conllu(documents: int = 40) -> str:
    """Articles of four sentences, with a contraction; one sentence stands in every article."""
    random = np.random.default_rng(0)
    lines = []
    for document in range(documents):
        for sentence in range(4):
            lines += [f"# sent_id = FOLHA_DOC{document:06}_SENT{sentence:03}", "# text = made up"]
            words = [("Eu", "PRON"), *((f"n{k}", "NOUN") for k in random.integers(0, 50, random.integers(1, 6)))]
            if sentence == 3:
                words = [("Sim", "ADV"), (".", "PUNCT")]
            elif sentence == 2:
                lines.append("1-2\tdo\t_\t_\t_\t_\t_\t_\t_\t_")
                words = [("de", "ADP"), ("o", "DET"), (f"doc{document}", "PROPN"), ("corre", "VERB")]
            lines += [f"{k}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_" for k, (word, tag) in enumerate(words, 1)]
            lines.append("")
    return "\n".join(lines)


def tune_book(tunes: int = 60, first: int = 0) -> bytes:
    """Tunes, the first of them twice, each title twice, with lyrics, comments and a letter of Latin-1."""
    random = np.random.default_rng(first)
    pieces = ["% a book\n"]
    for number in range(tunes):
        notes = "".join(random.choice(list("ABcdef|"), random.integers(20, 60)))
        head = f"X:{number}\nT:The Tune No. {first + number // 2}\nM:4/4\nL:1/8\nR:reel\nK:D\n"
        pieces.append(f"{head}{notes} % played twice\nw:a caf\xe9\n{notes[:5]}|]\n\n")
    return "".join([*pieces, pieces[1]]).encode("latin-1")


def play(number: int, lines: int = 60) -> bytes:
    """A play of a few words a line, with bold speakers, a stage direction and one word of its own."""
    random = np.random.default_rng(number)
    words = ["thou", "art", "the", "King", "sword", "night,", "love.", f"play{number}"]
    spoken = [f"**Fool**  \n{' '.join(random.choice(words, 5))}  " for _ in range(lines)]
    return "\n".join([f"# Play {number}", "_Enter Fool_", *spoken]).encode()


def chorale_mxl(seed: int, parts: int = 4, measures: int = 5) -> bytes:
    """Voices that walk by steps in quarters and eighths after an upbeat."""
    random = np.random.default_rng(seed)
    voices = []
    for octave in range(parts + 1, 1, -1):
        bars = []
        for number in range(measures):
            notes = []
            for _ in range(4 if number else 1):
                for duration in ([2], [1, 1])[random.integers(2)]:
                    pitch = f"<step>{random.choice(list('CDEFGAB'))}</step><octave>{octave}</octave>"
                    notes.append(f"<note><pitch>{pitch}</pitch><duration>{duration}</duration></note>")
            head = "" if number else "<attributes><divisions>2</divisions></attributes>"
            bars.append(f"<measure number='{number}'>{head}{''.join(notes)}</measure>")
        voices.append(f"<part id='P{octave}'>{''.join(bars)}</part>")
    return mxl(f"<score-partwise>{''.join(voices)}</score-partwise>")


def mxl(score: str) -> bytes:
    """A score as compressed MusicXML."""
    doctype = '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 2.0 Partwise//EN" "partwise.dtd">'
    container = "<container><rootfiles><rootfile full-path='score.xml'/></rootfiles></container>"
    return wheel({"META-INF/container.xml": container.encode(), "score.xml": f"{doctype}{score}".encode()})


def music21_wheel() -> bytes:
    """Tunes, and chorales: one stands twice, one BWV number has two, one has a voice too many."""
    chorales = {f"bwv{number}.6": chorale_mxl(number, measures=4 + number % 3) for number in range(1, 31)}
    chorales |= {"bwv3.6-a": chorale_mxl(103), "bwv31.6": chorales["bwv1.6"], "bwv32.6": chorale_mxl(32, parts=5)}
    return wheel(
        {
            "music21/corpus/airdsAirs/book1.abc": tune_book(),
            "music21/corpus/oneills1850/0001-0100.abc": tune_book(20, first=1000),
            "music21/corpus/essenFolksong/altdeu10.abc": b"X:1\nT:not this\nK:C\nCCCC\n",
            **{f"music21/corpus/bach/{name}.mxl": content for name, content in chorales.items()},
        }
    )


def interface_wheel() -> bytes:
    """Strings of thirty parts of a program and their translations word by word; some stand often, some have markup."""
    random = np.random.default_rng(0)
    starts, ends = ("ba", "le", "ki", "to"), ("n", "r", "s", "l", "m")
    words = {f"{start}{end}": f"{end}{start}o" for start in starts for end in ends}
    members = {}
    for part in range(30):
        texts = {f"text{k}": " ".join(random.choice(list(words), random.integers(3, 9))) for k in range(12)}
        texts |= {"common": "ban lek kin", "markup": "open {url} to lan kis", "short": "ban"}
        texts["numbered"] = f"ban kin tol {part}"
        said = {key: " ".join(words.get(word, word) for word in text.split()) + " ." for key, text in texts.items()}
        folder = f"homeassistant/components/part{part:02}/translations"
        for language, step in (("en", texts), ("ca", said), ("es", said), ("fr", said)):
            content = {"config": {"step": step}, "title": "Same in both"}
            members[f"{folder}/{language}.json"] = json.dumps(content).encode()
    return wheel(members)


def dictionary_wheel(words: int = 300) -> bytes:
    """Words of syllables that sound as they are written; some have possessives, comments, another pronunciation."""
    random = np.random.default_rng(0)
    sounds = {"ba": "B AA1", "sho": "SH OW0", "ki": "K IY1", "thu": "TH UW0", "x": "K S", "ne": "N EH1"}
    lines = []
    for number in range(words):
        syllables = random.choice(list(sounds), random.integers(1, 6))
        spelling, said = "".join(syllables), " ".join(sounds[one] for one in syllables)
        lines.append(f"{spelling} {said}" + (" # name, made up" if number % 5 == 0 else ""))
        lines += [f"{spelling}(2) {said} Z"] if number % 7 == 0 else []
        lines += [f"{spelling}'s {said} Z"] if number % 3 == 0 else []
    return wheel({MEMBER: "\n".join([*lines, "w K IY1 S B OW0 K UW0"]).encode()})


def caption_pairs(folder: Path) -> str:
    """Captions in two languages, word by word, as the hub's Multi30k has them."""
    words = {"a": "ein", "man": "mann", "dog": "hund", "runs": "rennt", "sleeps": "schläft", "red": "rot"}
    path = folder / "multi30k"
    path.mkdir(exist_ok=True)
    for seed, split in enumerate(("train", "validation", "test")):
        random = np.random.default_rng(seed)
        some = [random.choice(list(words), random.integers(3, 8)) for _ in range(40)]
        rows = [{"en": " ".join(one), "de": " ".join(words[word] for word in one)} for one in some]
        (path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def rated_sentences(folder: Path) -> str:
    """Sentences whose words tell their class, as the hub's SST-5 has them."""
    words = ("dreadful", "poor", "plain", "good", "splendid")
    for seed, split in enumerate(("train", "validation", "test")):
        random = np.random.default_rng(seed)
        rows = [
            {"text": f"A {words[label]} film , w{random.integers(50)} !", "label": label, "label_text": words[label]}
            for label in np.tile(np.arange(5), 12).tolist()
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(folder)


def wiki_lines(folder: Path) -> str:
    """Articles with titles and empty lines, a line a row, as the hub's WikiText has them."""
    for seed, split in enumerate(("train", "validation", "test")):
        lines = ["", f" = Article {split} = \n", "", *(f" {line} \n" for line in _sentences(seed, split))]
        rows = "".join(json.dumps({"text": line}) + "\n" for line in lines)
        (folder / f"{split}.jsonl").write_text(rows, "utf-8")
    return str(folder)


def treebank_files(folder: Path) -> str:
    """Sentences in small letters with `N` and `<unk>`, as Mikolov's Penn Treebank has them."""
    for seed, split in enumerate(("train", "valid", "test")):
        lines = [f" {line.lower()} <unk> n't N " for line in _sentences(seed, split)]
        (folder / f"ptb.{split}.txt").write_text("\n".join([*lines, " the <unk> ends "]) + "\n", "utf-8")
    return str(folder)


def _sentences(seed: int, own: str) -> list[str]:
    """Forty lines of a few words, each with one of its own part."""
    random = np.random.default_rng(seed)
    words = ["The", "Tower", "of", "London", "is", "tall", ",", "well @-@ known", "."]
    return [" ".join([*random.choice(words, random.integers(3, 9)), own]) for _ in range(40)]
