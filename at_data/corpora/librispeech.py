"""LibriSpeech: English audio books read aloud, 960 hours at 16 kHz, and here every spoken word a Recording of its own.

2,484 readers in seven subsets, none of them in two: train-clean-100, -360 and train-other-500, dev-clean, dev-other,
test-clean, test-other. Layout: `<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac` and
`SPEAKERS.TXT`, below a folder `split` too. The corpus says what is read and not when; word times are the work of
others, of three kinds:

- `<speaker>-<chapter>.alignment.txt` of librispeech-alignments: a line per utterance, its words (an empty one is a
  silence) and when each ends; `at-prepare align librispeech` writes such files;
- `<utterance>.TextGrid` of the Montreal Forced Aligner, long or short, with a tier `words` (Zenodo record 2619474);
- CTM lines (utterance, channel, begin, duration, word, anything) in `*.ctm`, or in `*.txt` in a folder `word_labels`.

The first two lie beside the flac files, or in the same folders below another one: `alignments/<subset>/<speaker>/...`;
CTM files in the root or up to two folders below it, not below the subsets. An utterance takes all its words from the
first kind, in this order, that has any for it; of two files of one kind from that beside the audio, then by name.
train, dev and test are the published split. Licence: CC BY 4.0; so are the word times of Zenodo.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

from at_data import word_times
from at_data.corpora import Archive, Count, need_folder, text_of, walk
from at_data.errors import CorpusError
from at_data.recordings import Recording

LICENCE = "CC BY 4.0"
SOURCE = "LibriSpeech ASR corpus, openslr.org/12; word times are not part of it"
CITATION = (
    "V. Panayotov, G. Chen, D. Povey, S. Khudanpur, 'Librispeech: an ASR corpus based on public domain audio books', "
    "ICASSP 2015"
)
GROUPS = ("speaker", "chapter")
UNPACKS_TO = ("LibriSpeech",)
SIZES = {  # speakers as SPEAKERS.TXT has them, utterances
    "train-clean-100": (251, 28_539),
    "train-clean-360": (921, 104_014),
    "train-other-500": (1_166, 148_688),
    "dev-clean": (40, 2_703),
    "dev-other": (33, 2_864),
    "test-clean": (40, 2_620),
    "test-other": (33, 2_939),
}
COUNTS = tuple(
    Count((number,), distinct=what, where={"subset": subset})
    for subset, numbers in SIZES.items()
    for what, number in zip(("speaker", "utterance"), numbers, strict=True)
)
# sha256: TensorFlow Datasets (url_checksums/librispeech.txt) and torchaudio; md5: zenodo.org/records/2619474
ARCHIVES: tuple[Archive, ...] = (
    *(
        Archive(
            subset,
            f"https://www.openslr.org/resources/12/{subset}.tar.gz",
            f"sha256:{digits}",
            size_bytes,
            "LibriSpeech",
            strip=1,
        )
        for subset, size_bytes, digits in (
            ("dev-clean", 337_926_286, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
            ("dev-other", 314_305_928, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
            ("test-clean", 346_663_984, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
            ("test-other", 328_757_843, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"),
            ("train-clean-100", 6_387_309_499, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"),
            ("train-clean-360", 23_049_477_885, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"),
            ("train-other-500", 30_593_501_606, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"),
        )
    ),
    Archive(
        "alignments",
        "https://zenodo.org/records/2619474/files/librispeech_alignments.zip?download=1",
        "md5:2bab567d0ace651a4ba254e813629f46",
        623_023_332,
        "LibriSpeech/alignments",
    ),
)
ACCESS = (
    "Word times are the subset `alignments`; others are those of librispeech-alignments (github.com/CorentinJ), or "
    "made with `at-prepare align librispeech`."
)

PARTS = {"train": "train", "dev": "valid", "test": "test"}
SUBSET = re.compile(r"(train|dev|test)-[\w-]+")
FLAC = re.compile(r"((\d+)/(\d+)/)(\2-\3-\d+)\.flac", re.ASCII | re.IGNORECASE)
SEXES = {"F": "female", "M": "male"}
UNKNOWN = {"<unk>", "spn"}  # somebody says something


def _example(utterance: str, number: int | None, subset: str, *facts: Any, **attributes: str) -> Recording:
    speaker, chapter, _ = utterance.split("-")
    path = f"{subset}/{speaker}/{chapter}/{utterance}.flac"
    known = {"subset": subset, "speaker": speaker, "chapter": chapter, "utterance": utterance, **attributes}
    name = utterance if number is None else f"{utterance}/{number}"
    start_s, length_s = facts or (None, None)
    return Recording(name, "librispeech", path, known, start_s, length_s, PARTS[subset.partition("-")[0]])


def _example_grid(*words: str) -> str:
    intervals = "".join(
        f'intervals [{n}]:\n xmin = {n * 0.01:g}\n xmax = {n * 0.01 + 0.01:g}\n text = "{word}"\n'
        for n, word in enumerate(words)
    )
    return (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 0.1\ntiers? <exists>\nsize = 1\n'
        f'item []:\nitem [1]:\nclass = "IntervalTier"\nname = "words"\nxmin = 0\nxmax = 0.1\n'
        f"intervals: size = {len(words)}\n{intervals}"
    )


EXAMPLE: dict[str, Any] = {
    "files": {
        "SPEAKERS.TXT": (
            ";ID  |SEX| SUBSET           |MINUTES| NAME\n19   | F | train-clean-100  | 25.19 | A reader\n"
            "60   | M | train-clean-100  | 20.18 | |A|Bar\n84   | F | dev-clean        |  8.02 | Another\n"
        ),
        "CHAPTERS.TXT": "; not read",
        "alignments/test-clean/1089/134686/1089-134686-0000.TextGrid": _example_grid("", "he", "<unk>", "sil", "hoped"),
        "dev-clean/84/121123/84-121123.alignment.txt": (
            '84-121123-0000 ",GO,,DO,DO," "0.010,0.020,0.040,0.050,0.075,0.1"\n84-121123-0009 ",NO," "0.1,0.2,0.3"\n'
        ),
        "dev-clean/84/121123/._84-121123-0000.flac": "what a file system left behind",
        "dev-clean/84/121123/84-121123-0000.flac": None,
        "dev-clean/84/121123/84-121123-0001.flac": None,
        "dev-clean/84/121123/84-121123.trans.txt": "84-121123-0000 GO DO DO\n84-121123-0001 NOBODY ALIGNED THIS\n",
        "dev-clean/84/121123/cough.flac": None,
        "test-clean/1089/134686/1089-134686-0000.flac": None,
        "train-clean-100/60/1/60-1-0000.flac": None,
        "train-clean-360/2/3/2-3.alignment.txt": '2-3-0000 ",NO," "0.1,0.2,0.3"\n',
        "word_labels/train-clean-100-selected-1000.txt": "60-1-0000 1 0.02 0.05 The 0\n60-1-0000 1 0.00 0.02 And 0\n",
    },
    "recordings": (
        _example("84-121123-0000", 0, "dev-clean", 0.01, 0.01, word="go", sex="female"),
        _example("84-121123-0000", 1, "dev-clean", 0.04, 0.01, word="do", sex="female"),
        _example("84-121123-0000", 2, "dev-clean", 0.05, 0.025, word="do", sex="female"),
        _example("84-121123-0001", None, "dev-clean", sex="female"),
        Recording(
            "dev-clean/84/121123/cough",
            "librispeech",
            "dev-clean/84/121123/cough.flac",
            {"subset": "dev-clean"},
            published_split="valid",
        ),
        _example("1089-134686-0000", 0, "test-clean", 0.01, 0.01, word="he"),
        _example("1089-134686-0000", 1, "test-clean", 0.02, 0.01),
        _example("1089-134686-0000", 2, "test-clean", 0.04, 0.01, word="hoped"),
        _example("60-1-0000", 0, "train-clean-100", 0.0, 0.02, word="and", sex="male"),
        _example("60-1-0000", 1, "train-clean-100", 0.02, 0.05, word="the", sex="male"),
    ),
}


def recordings(root: Path) -> Iterator[Recording]:
    """Recordings of the words in a LibriSpeech folder, in order of path and start; any of its subsets may be absent.

    Attributes: word (lower case), speaker, sex, chapter, subset, utterance (`84-121123-0000`). Silences are no words. A
    stretch the aligner could not name has no word; an utterance without word times is one Recording of the whole file,
    without word; a flac file of another name has its subset. Words keep the times they were given: one of no length, or
    beyond the end of its file, is found by who reads the audio. Times of utterances that are not there are passed over.

    No more than the times of one chapter is held, and where in a CTM file each utterance stands. CorpusError where no
    flac file is found, where no utterance has word times, without SPEAKERS.TXT or where it or an `.alignment.txt` is
    empty, and with file and line for what cannot be understood in it or in the times of a chapter that is there.
    """
    need_folder(root)
    times = _Times(root)
    sexes: dict[str, str] | None = None
    utterances = timed = 0
    for subset in times.subsets:
        name = subset.rpartition("/")[2]
        split = PARTS[name.partition("-")[0]]
        folder, shared = None, {"subset": name}
        for file in walk(root / subset, ".flac"):
            sexes = _sexes(root / "SPEAKERS.TXT") if sexes is None else sexes
            path, parts = f"{subset}/{file}", FLAC.fullmatch(file)
            if not parts:
                yield Recording(path[:-5], "librispeech", path, {"subset": name}, published_split=split)
                continue
            if parts[1] != folder:
                folder, shared = parts[1], _shared(name, parts[2], parts[3], sexes)
                times.enter(subset, folder)
            utterance = intern(parts[4])
            words = times.words(utterance)
            utterances, timed = utterances + 1, timed + bool(words)
            yield from _words(path, split, {**shared, "utterance": utterance}, words)
    if not timed:
        raise _nothing(root, utterances)


def _nothing(root: Path, utterances: int) -> CorpusError:
    if utterances:
        return CorpusError(
            root,
            f"no word times for any of {utterances:,} utterances",
            "<speaker>-<chapter>.alignment.txt (librispeech-alignments) or <utterance>.TextGrid (Montreal Forced "
            "Aligner), beside the flac files or in the same folders below another; or CTM lines in *.ctm or "
            "word_labels/*.txt",
            "unpack such word times into the folder, or make some with `at-prepare align librispeech`",
        )
    return CorpusError(
        root,
        "no utterance of LibriSpeech in it",
        "<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac, <subset> as train-clean-100",
        "point at the folder LibriSpeech, which holds SPEAKERS.TXT",
    )


def _sexes(file: Path) -> dict[str, str]:
    """Sex of each speaker, where the table says it; a name may hold bars."""
    sexes, readers = {}, 0
    for number, line in enumerate(text_of(file).split("\n"), 1):
        if not line.strip() or line.startswith(";"):
            continue
        speaker, *cells = (cell.strip() for cell in line.split("|", 4))
        if not speaker.isdecimal() or len(cells) < 3:  # noqa: PLR2004 - sex, subset, minutes; the name is not needed
            expected = "reader | F or M | subset | minutes | name"
            raise CorpusError(f"{file}, line {number}", f"got {line.strip()!a}", expected, "restore the original file")
        readers += 1
        if cells[0] in SEXES:
            sexes[speaker] = SEXES[cells[0]]
    if not readers:
        raise CorpusError(file, "it names no reader", "a line for each reader", "restore the original file")
    return sexes


def _shared(subset: str, speaker: str, chapter: str, sexes: dict[str, str]) -> dict[str, str]:
    """Attributes that all utterances of a chapter share."""
    sex = {"sex": sexes[speaker]} if speaker in sexes else {}
    return {"subset": subset, "speaker": intern(speaker), **sex, "chapter": chapter}


def _words(path: str, split: str, shared: dict[str, str], words: list[word_times.Word]) -> Iterator[Recording]:
    """Recordings of an utterance's words; equal words of it share their attributes."""
    utterance = shared["utterance"]
    if not words:
        yield Recording(utterance, "librispeech", path, shared, published_split=split)
    made = dict.fromkeys(UNKNOWN, shared)
    for number, (start_s, length_s, word) in enumerate(sorted(words, key=lambda found: found[0])):
        written = word.lower()
        attributes = made.get(written)
        if attributes is None:
            attributes = made[written] = {"word": intern(written), **shared}
        yield Recording(f"{utterance}/{number}", "librispeech", path, attributes, start_s, length_s, split)


class _Times:
    """Where words stand in time: which files say so, found once, and what they say, read chapter by chapter."""

    def __init__(self, root: Path) -> None:
        self.root = root
        places = [""]
        for place in places:  # grows: the root, the folders in it, the folders in those that are no subset
            if place.count("/") < 2 and not SUBSET.fullmatch(place[:-1]):  # noqa: PLR2004
                places += [f"{place}{name}/" for name in word_times.names(root / place, folders=True)]
        self.subsets = [place[:-1] for place in sorted(places) if SUBSET.fullmatch(place[:-1].removeprefix("split/"))]
        self.homes = {subset: self._homes(subset, places) for subset in self.subsets}
        self.ctm = word_times.ctm_pieces([root / place for place in places]) if self.subsets else {}
        self.lines: dict[str, list[word_times.Word]] = {}
        self.grids: dict[str, Path] = {}

    def _homes(self, subset: str, places: list[str]) -> list[Path]:
        """Folders that may hold times of a subset: its own, then those of that name elsewhere."""
        own, name = self.root / subset, subset.rpartition("/")[2]
        others = [self.root / place / name for place in sorted(places)]
        return [own, *(other for other in others if other != own and other.is_dir())]

    def enter(self, subset: str, folder: str) -> None:
        """Read the alignment lines of a chapter, and see which TextGrids there are."""
        self.lines, self.grids = {}, {}
        for home in (above / folder for above in self.homes[subset]):
            for file in word_times.names(home, folders=False):
                if file.lower().endswith(word_times.ALIGNMENT):
                    self.lines = {**word_times.aligned(home / file), **self.lines}
                elif file.lower().endswith(word_times.GRID):
                    self.grids.setdefault(file[: -len(word_times.GRID)], home / file)

    def words(self, utterance: str) -> list[word_times.Word]:
        """Words of an utterance of this chapter, by the first kind of file that has any; else none."""
        found = self.lines.pop(utterance, [])
        if not found and utterance in self.grids:
            found = word_times.grid(self.grids[utterance])
        if not found and utterance in self.ctm:
            found = [word for piece in self.ctm[utterance] for word in word_times.ctm(*piece)]
        return found
