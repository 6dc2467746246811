"""LibriSpeech: words from three kinds of times, and what is wrong with them by line."""

import pytest
from trees import audio, lay_out, other_counts

from at_data.corpora import librispeech
from at_data.errors import CorpusError

SPEAKERS = "; a table\n19   | F | train-clean-100  | 25.19 | A reader\n"
HOME = "train-clean-100/19/198/"
FLAC = f"{HOME}19-198-0000.flac"
LINES = f"{HOME}19-198.alignment.txt"
GRID = f"{HOME}19-198-0000.TextGrid"
CTM = "word_labels/train-clean-100-selected-1000.txt"
LINE = '19-198-0000 ",NORTHANGER,,ABBEY," "0.100,0.400,0.500,1.000,1.2"\n'
WORDS = [("northanger", 0.1, 0.3), ("abbey", 0.5, 0.5)]


def grid(*intervals, name="words", short=False):
    """A TextGrid of a tier of phones and one of words, in the long or the short text format."""
    tiers = {"phones": [(0, 1.2, "AH0")], name: intervals or [(0, 0.1, ""), (0.1, 0.4, "northanger"), (0.4, 0.5, "sp")]}
    if not intervals:
        tiers[name] += [(0.5, 1.0, "abbey"), (1.0, 1.2, "")]
    text = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n'
    text += "0\n1.2\n<exists>\n2\n" if short else "xmin = 0 \nxmax = 1.2 \ntiers? <exists> \nsize = 2 \nitem []: \n"
    for number, (tier, stretches) in enumerate(tiers.items(), 1):
        head = (
            ("", "", "", "", "", "") if short else ("class = ", "name = ", "xmin = ", "xmax = ", "intervals: size = ")
        )
        text += "" if short else f"    item [{number}]:\n"
        values = ('"IntervalTier"', f'"{tier}"', "0", "1.2", str(len(stretches)))
        text += "".join(f"{word}{value} \n" for word, value in zip(head, values, strict=False))
        for place, (start, end, label) in enumerate(stretches, 1):
            if short:
                text += f'{start}\n{end}\n"{label}"\n'
            else:
                text += f'intervals [{place}]:\n xmin = {start} \n xmax = {end} \n text = "{label}" \n'
    return text


def ctm(utterance="19-198-0000", end=" 0.99"):
    return f"{utterance} 1 0.10 0.30 NORTHANGER{end}\n{utterance} 1 0.50 0.50 Abbey{end}\n"


KINDS = {
    "lines": {LINES: LINE},
    "lines elsewhere": {f"mine/{LINES}": LINE},
    "long TextGrid": {GRID: grid()},
    "short TextGrid": {GRID: grid(short=True)},
    "TextGrid of a named speaker": {GRID: grid(name="19 - words")},
    "TextGrid elsewhere": {f"alignments/{GRID}": grid()},
    "TextGrid of an archive that was unpacked elsewhere": {f"alignments/LibriSpeech/{GRID}": grid()},
    "CTM of the paper": {CTM: ctm()},
    "CTM of five fields": {"words.ctm": ctm(end="")},
    "CTM from a spreadsheet": {"words.ctm": "\ufeff;; words\n\n" + ctm().replace(" ", "\t").replace("\n", "\r\n")},
    "CTM beside the speakers": {"train-clean-100/words.ctm": ctm()},
}


def tree(folder, files, *flacs, speakers=SPEAKERS):
    return lay_out(folder, {"SPEAKERS.TXT": speakers, **audio(*(flacs or (FLAC,))), **files})


def listed(folder, files, *flacs, **kwargs):
    return list(librispeech.recordings(tree(folder, files, *flacs, **kwargs)))


def words(found):
    return [(r.attributes.get("word"), r.start_s, r.length_s) for r in found]


# three kinds of times


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_times_tells_the_same_words(tmp_path, kind):
    found = listed(tmp_path, KINDS[kind])
    assert words(found) == WORDS
    assert [r.id for r in found] == ["19-198-0000/0", "19-198-0000/1"]
    assert found[0].attributes == {
        "word": "northanger",
        "speaker": "19",
        "sex": "female",
        "chapter": "198",
        "subset": "train-clean-100",
        "utterance": "19-198-0000",
    }


def test_the_paper_keeps_its_audio_below_split(tmp_path):
    found = listed(tmp_path, {CTM: ctm()}, f"split/{FLAC}")
    assert words(found) == WORDS
    assert {r.path for r in found} == {f"split/{FLAC}"}
    assert {r.attributes["subset"] for r in found} == {"train-clean-100"}


def test_the_first_kind_that_has_words_for_an_utterance_gives_them_all(tmp_path):
    flacs = [f"{HOME}19-198-000{n}.flac" for n in range(4)]
    files = {
        LINES: '19-198-0000 ",LINE," "0.1,0.2,0.3"\n19-198-0003 "" "1.0"\n',
        f"other/{LINES}": '19-198-0000 ",OTHER," "0.1,0.2,0.3"\n19-198-0001 ",OTHER," "0.1,0.2,0.3"\n',
        **{f"{HOME}19-198-000{n}.TextGrid": grid((0, 0.5, "grid")) for n in (0, 1, 2)},
        "a.ctm": "".join(f"19-198-000{n} 1 0.5 0.5 ctm\n" for n in range(4)),
    }
    assert [word for word, _, _ in words(listed(tmp_path, files, *flacs))] == ["line", "other", "grid", "ctm"]


def test_an_utterance_without_times_is_one_recording_without_word(tmp_path):
    spare = f"{HOME}19-198-0001.flac"
    found = listed(tmp_path, {LINES: LINE}, FLAC, spare)
    assert words(found) == [*WORDS, (None, None, None)]
    assert found[-1].id == "19-198-0001"
    assert found[-1].attributes["speaker"] == "19"


def test_a_corpus_without_any_times_names_all_three_kinds(tmp_path):
    with pytest.raises(CorpusError, match="no word times for any of 1 utterances") as caught:
        listed(tmp_path, {f"{HOME}19-198.trans.txt": "19-198-0000 NORTHANGER ABBEY"})
    assert all(name in str(caught.value) for name in (".alignment.txt", ".TextGrid", "CTM", "at-prepare align"))


def test_times_of_subsets_and_utterances_that_are_not_there_are_passed_over(tmp_path):
    files = {
        LINES: LINE + LINE.replace("0000", "0007"),
        "dev-clean/84/1/84-1.alignment.txt": "of a merged archive, not even read",
        "words.ctm": ctm("84-1-0000"),
    }
    assert words(listed(tmp_path, files)) == WORDS


def test_silences_are_no_words_and_a_word_the_aligner_did_not_know_has_no_name(tmp_path):
    stretches = [(n / 10, n / 10 + 0.1, label) for n, label in enumerate(["sil", "<eps>", "<unk>", "spn", "SP", "he"])]
    found = listed(tmp_path, {GRID: grid(*stretches)})
    assert words(found) == [(None, 0.2, 0.1), (None, 0.3, 0.1), ("he", 0.5, 0.1)]


def test_a_word_of_no_length_keeps_its_times(tmp_path):
    found = listed(tmp_path, {LINES: '19-198-0000 ",A,MAN," "0.1,0.1,0.3,0.4"\n'})
    assert words(found) == [("a", 0.1, 0.0), ("man", 0.1, 0.2)]


def test_lengths_are_free_of_rounding(tmp_path):
    assert words(listed(tmp_path, {LINES: '19-198-0000 ",A," "0.5,0.6,0.7"\n'})) == [("a", 0.5, 0.1)]


def test_equal_words_of_an_utterance_share_their_attributes(tmp_path):
    first, _, third = listed(tmp_path, {LINES: '19-198-0000 "THE,MAN,THE" "0.1,0.2,0.3"\n'})
    assert first.attributes is third.attributes


# ctm files


def test_a_ctm_file_may_be_in_any_order(tmp_path):
    flacs = [f"{HOME}19-198-000{n}.flac" for n in range(2)]
    one, two = (ctm(f"19-198-000{n}").splitlines(keepends=True) for n in range(2))
    found = listed(tmp_path, {"words.ctm": two[1] + one[1] + ";; comment\n" + two[0] + one[0].rstrip()}, *flacs)
    assert words(found) == WORDS + WORDS
    assert [r.id for r in found] == [f"19-198-000{n}/{m}" for n in (0, 1) for m in (0, 1)]


def test_an_utterance_in_two_ctm_files_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"b\.ctm, line 3: 19-198-0000 stands in .*a\.ctm too"):
        listed(tmp_path, {"a.ctm": ctm(), "b.ctm": ctm("7-8-0000") + ctm()})


def test_other_text_files_are_no_ctm(tmp_path):
    assert (
        words(listed(tmp_path, {LINES: LINE, "notes.txt": ctm(), "word_labels/1000-mostfreq": "the\nand\n"})) == WORDS
    )


# what cannot be understood


@pytest.mark.parametrize(
    ("line", "came"),
    [
        ('19-198-0000 ",A,"', "not three such columns"),
        ('19-198-0000 A,B "0.1,0.2"', "not three such columns"),
        ('19-198-0000 ",A," "0.1,0.2"', "3 words and 2 times"),
        ('19-198-0000 ",A," "0.1,soon,0.3"', "could not convert string to float: 'soon'"),
        ('19-198-0000 ",A," "0.3,0.2,0.4"', "A from 0.3 to 0.2 s"),
        ('19-198-0000 ",A," "-0.3,0.2,0.4"', "a silence from 0 to -0.3 s"),
        ('19-198-0000 ",A," "0.1,nan,0.4"', "A from 0.1 to nan s"),
        ('19-198-0000 ",A," "0.1,0.2,inf"', "a silence from 0.2 to inf s"),
        (LINE, "19-198-0000 a second time"),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, line, came):
    with pytest.raises(CorpusError) as caught:
        listed(tmp_path, {LINES: f"{LINE}\n{line}\n"})
    assert f"{LINES}, line 3: {came}" in str(caught.value)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("xmin = 0.5", "xmin = -0.5"),
        ("xmax = 1.0", "xmax = 0.4"),
        ("xmax = 1.0", "xmax = nan"),
        ("xmax = 1.0", "xmax = 1e999"),
        ("xmax = 1.0", "xmax = 1.0.0"),
        ("xmax = 1.0", "xmax = soon"),
        ('text = "abbey"', "text = abbey"),
    ],
)
def test_an_interval_that_is_none_is_named(tmp_path, good, bad):
    text = grid()
    line = text[: text.index("xmin = 0.5")].count("\n") + 1
    with pytest.raises(CorpusError, match=rf"19-198-0000\.TextGrid, line {line}: got .*expected begin and end"):
        listed(tmp_path, {GRID: text.replace(good, bad)})


@pytest.mark.parametrize(
    ("text", "came"),
    [
        (grid(name="phones too"), "no tier of intervals called words"),
        ("", "no tier of intervals called words"),
        (grid()[:-60], "3 of 5 intervals"),
        (grid()[: grid().index("intervals: size = 5")], "0 of no intervals"),
    ],
)
def test_a_textgrid_that_is_none_is_named(tmp_path, text, came):
    with pytest.raises(CorpusError, match=rf"19-198-0000\.TextGrid: {came}"):
        listed(tmp_path, {GRID: text})


@pytest.mark.parametrize(
    "line",
    [
        "19-198-0000 1 0.5 0.5",
        "19-198-0000 1 soon 0.5 abbey",
        "19-198-0000 1 -0.5 0.5 abbey 1",
        "19-198-0000 1 0.5 -0.5 abbey 1",
        "19-198-0000 1 0.5 nan abbey 1",
        "19-198-0000 1 inf 0.5 abbey 1",
        "19-198-0000 1 0.5 0.5 abbey 1 2",
    ],
)
def test_a_ctm_line_that_is_none_is_named(tmp_path, line):
    with pytest.raises(CorpusError) as caught:
        listed(tmp_path, {CTM: f"7-8-0000 nonsense\n;; comment\n{ctm()}{line}\n"})
    assert f"{CTM}, line 5: got {line!r}; expected utterance, channel" in str(caught.value)


def test_times_that_are_not_utf8_are_named(tmp_path):
    tree(tmp_path, {LINES: ""})
    (tmp_path / LINES).write_bytes(b'19-198-0000 ",\xff," "0.1,0.2,0.3"\n')
    with pytest.raises(CorpusError, match=r"19-198\.alignment\.txt: cannot be read .*UTF-8"):
        list(librispeech.recordings(tmp_path))


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_of_lines_is_refused(tmp_path, text):
    with pytest.raises(CorpusError, match=r"19-198\.alignment\.txt: it holds no utterance"):
        listed(tmp_path, {LINES: text, GRID: grid()})


def test_chapters_are_read_one_by_one(tmp_path):
    broken = "train-clean-100/20/1/20-1"
    files = {LINES: LINE, f"{broken}.alignment.txt": "what is this"}
    stream = librispeech.recordings(tree(tmp_path, files, FLAC, f"{broken}-0000.flac"))
    assert words([next(stream), next(stream)]) == WORDS
    with pytest.raises(CorpusError, match=r"20-1\.alignment\.txt, line 1"):
        next(stream)


# the folder


def test_speakers_stand_in_order_of_path_and_not_of_number(tmp_path):
    flacs = [f"train-clean-100/{speaker}/1/{speaker}-1-0000.flac" for speaker in ("103", "1034", "19")]
    found = listed(tmp_path, {"all.ctm": "".join(ctm(f"{s}-1-0000") for s in ("19", "1034", "103"))}, *flacs)
    assert [r.attributes["speaker"] for r in found] == ["103", "103", "1034", "1034", "19", "19"]


def test_published_parts_go_by_the_name_of_the_subset(tmp_path):
    subsets = {"dev-other": "valid", "test-clean": "test", "train-other-500": "train"}
    files = {"all.ctm": "".join(ctm(f"{n}-1-0000") for n in range(3))}
    found = listed(tmp_path, files, *(f"{subset}/{n}/1/{n}-1-0000.flac" for n, subset in enumerate(subsets)))
    assert {r.attributes["subset"]: r.published_split for r in found} == subsets


def test_a_copy_without_its_table_of_speakers_is_half_unpacked(tmp_path):
    with pytest.raises(CorpusError, match=r"SPEAKERS\.TXT: no such file"):
        list(librispeech.recordings(lay_out(tmp_path, {FLAC: None, LINES: LINE})))


@pytest.mark.parametrize("row", ["nineteen | F | train-clean-100 | 25.19 | A reader", "20 | F", "what is this"])
def test_a_row_of_speakers_that_is_none_is_named(tmp_path, row):
    with pytest.raises(CorpusError, match=r"SPEAKERS\.TXT, line 3: got .*reader \| F or M"):
        listed(tmp_path, {LINES: LINE}, speakers=f"{SPEAKERS}{row}\n")


@pytest.mark.parametrize("speakers", ["", "\n", ";ID | SEX | SUBSET | MINUTES | NAME\n"])
def test_a_table_that_names_no_reader_is_refused(tmp_path, speakers):
    with pytest.raises(CorpusError, match=r"SPEAKERS\.TXT: it names no reader"):
        listed(tmp_path, {LINES: LINE}, speakers=speakers)


@pytest.mark.parametrize(
    "row", ["", "19 |  | train-clean-100 | 25.19 | A reader", "19 | ? | train-clean-100 | 25.19 |"]
)
def test_a_speaker_of_unknown_sex_has_none(tmp_path, row):
    first, _ = listed(tmp_path, {LINES: LINE}, speakers=f"; table\n20 | M | dev-clean | 8 | |A|B\n{row}\n")
    assert "sex" not in first.attributes


def test_a_flac_of_another_name_has_its_subset_and_no_more(tmp_path):
    odd = [f"{HOME}20-198-0000.flac", f"{HOME}cough.flac", "train-clean-100/cough.flac"]
    found = {r.path: r.attributes for r in listed(tmp_path, {LINES: LINE}, FLAC, *odd)}
    assert all(found[path] == {"subset": "train-clean-100"} for path in odd)


@pytest.mark.parametrize("files", [{"mine/19-198-0000.flac": None}, {LINES: LINE}, {"train-clean-100/notes.txt": ""}])
def test_a_folder_without_utterances_is_not_the_corpus(tmp_path, files):
    with pytest.raises(CorpusError, match="no utterance of LibriSpeech in it"):
        list(librispeech.recordings(lay_out(tmp_path, files)))


def test_counts_speak_of_the_subsets_that_are_there(tmp_path):
    lines = list(other_counts(librispeech, listed(tmp_path, {LINES: LINE})))
    assert lines == [
        "1 values of speaker here, subset train-clean-100; published: 251",
        "1 values of utterance here, subset train-clean-100; published: 28,539",
    ]


# the whole road
