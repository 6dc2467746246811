"""What `plan` and `build` warn of: doubtful lists, proofs of less than all, builds that will end."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from commands import run
from conftest import write_digits


def test_plan_warns_of_other_counts_than_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_digits(tmp_path / "made" / "speech_commands", speakers=20)
    assert run(monkeypatch, "plan", "gsc_words_clean", "--source", corpus) == 0
    assert "warning: gsc: 400 recordings here; published: 105,829 or 64,721" in capsys.readouterr().err


def test_plan_warns_of_recordings_that_the_proof_knows_no_group_of(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{n}.wav,{'ab'[n % 2]},{'' if n < 5 else n}" for n in range(20)]
    (tmp_path / "recordings.csv").write_text("\n".join(["path,word,speaker", *rows]))
    by_chance = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
    settings |= {"corpus": "table", "keep": {}, "nuisances": ["speaker"], "shared": [], "split": by_chance}
    (tmp_path / "m.yaml").write_text(json.dumps(settings))
    run(monkeypatch, "plan", tmp_path / "m.yaml", "--source", tmp_path)
    told = "warning: table: 5 of 20 recordings have no speaker: the proof is of the others alone"
    assert told in capsys.readouterr().err


def test_plan_warns_of_a_build_that_will_end_for_what_is_unreadable_and_names_it(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_digits(tmp_path / "made" / "speech_commands", speakers=6, takes=3)
    (corpus / "one/00000000_nohash_0.wav").write_bytes(b"RIFF")
    soundfile.write(corpus / "two/00000001_nohash_0.wav", np.zeros(0), 16000)
    (tmp_path / "m.yaml").write_text(json.dumps(settings))
    plan = ["plan", tmp_path / "m.yaml", "--source", corpus]
    assert run(monkeypatch, *plan) == 0
    said = capsys.readouterr()
    told = "2, by 180 headers (one/00000000_nohash_0: "
    assert f"warning: a build will end: {told}" in said.err
    assert (
        "two/00000001_nohash_0: a header and no samples), of 180 recordings will be bad; expected at most 1.00%"
        in said.err
    )
    assert f"unreadable by their headers: {told}" in said.out
    assert run(monkeypatch, *plan, "--max-bad", "2") == 0
    assert "a build will end" not in capsys.readouterr().err


def test_a_build_warns_of_many_near_duplicates_and_of_a_dataset_within_the_corpus(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, corpus = np.random.default_rng(1), tmp_path / "corpus"
    corpus.mkdir()
    sounds = [rng.uniform(-0.5, 0.5, 16000) for _ in range(20)]
    rows = []
    for n in range(40):
        soundfile.write(corpus / f"{n}.wav", sounds[n % 20] * (1 - n / 100), 16000)
        rows.append(f"{n}.wav,{'ab'[n % 2]},{n // 4}")
    (corpus / "recordings.csv").write_text("\n".join(["path,word,speaker", *rows]))
    (tmp_path / "m.yaml").write_text(json.dumps(settings | {"corpus": "table", "keep": {}}))
    build = ["build", tmp_path / "m.yaml", "--source", corpus, "--out", corpus / "out", "--workers", 1]
    assert run(monkeypatch, *build) == 0
    said = capsys.readouterr()
    lost = re.search(r"left out: (\d+) near-duplicate", said.out)
    assert lost
    told = f"{lost[1]} of 40 recordings are left out, as each sounds nearly like one of another split"
    assert f": {told}; listen to some" in said.err
    assert f"warning: {corpus / 'out'} lies within the corpus folder {corpus}" in said.err
    assert run(monkeypatch, *build) == 0
    assert "near" not in capsys.readouterr().err


def test_a_table_whose_stretches_lie_outside_their_files_is_told_so(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{n}.wav,5,{'ab'[n % 2]},{n // 2}" for n in range(20)]
    for n in range(20):
        soundfile.write(tmp_path / f"{n}.wav", np.full(12800, 0.1), 16000)
    (tmp_path / "recordings.csv").write_text("\n".join(["path,start_s,word,speaker", *rows]))
    (tmp_path / "m.yaml").write_text(json.dumps(settings | {"corpus": "table", "keep": {}}))
    assert run(monkeypatch, "plan", tmp_path / "m.yaml", "--source", tmp_path) == 2
    assert "(0@5.0: a stretch from 5 s that is not in a file of 0.8 s" in capsys.readouterr().err


def test_a_build_and_its_card_tell_of_whom_the_proof_says_nothing(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, corpus = np.random.default_rng(1), tmp_path / "corpus"
    corpus.mkdir()
    rows = []
    for n in range(20):
        soundfile.write(corpus / f"{n}.wav", rng.uniform(-0.5, 0.5, 16000), 16000)
        rows.append(f"{n}.wav,{'ab'[n % 2]},{['', 'Eva', 'eva', 'Bo'][n // 2 % 4 if n < 8 else 3]}")
    (corpus / "recordings.csv").write_text("\n".join(["path,word,speaker", *rows]))
    by_chance = {"by": "random", "method": "balanced", "train": 0.6, "valid": 0.2, "test": 0.2}
    settings |= {"corpus": "table", "keep": {}, "nuisances": ["speaker"], "shared": ["speaker"], "split": by_chance}
    (tmp_path / "m.yaml").write_text(json.dumps(settings))
    out = tmp_path / "out"
    run(monkeypatch, "build", tmp_path / "m.yaml", "--source", corpus, "--out", out, "--workers", 1)
    said = capsys.readouterr().err
    assert "warning: table: 2 of 20 recordings have no speaker: the proof is of the others alone" in said
    assert "warning: table: values of speaker that count as different and look the same: 'Eva' and 'eva'" in said
    (folder,) = out.iterdir()
    assert "speaker of 2 recordings unknown" in (folder / "README.md").read_text()
    assert run(monkeypatch, "verify", folder) == 0
    proof = json.loads((folder / "leaks.json").read_text())
    assert sum(line.get("unknown", 0) for line in proof) == 2 * 2  # each split is in two pairs
    run(monkeypatch, "show", folder)
    assert "speaker of 2 recordings unknown" in capsys.readouterr().out


def test_plan_warns_in_the_words_of_the_build_that_will_refuse_what_is_not_labelled(
    digits: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = shutil.copytree(digits, tmp_path / "speech_commands")
    for take in range(4):
        shutil.copy(digits / "one/00000000_nohash_0.wav", corpus / "one" / f"whose{take}.wav")
    (tmp_path / "m.yaml").write_text(json.dumps(settings))
    arguments = (tmp_path / "m.yaml", "--source", corpus)
    assert run(monkeypatch, "build", *arguments, "--out", tmp_path / "out", "--workers", 1) == 2
    refusal = capsys.readouterr().err.partition("at-prepare: ")[2].strip()
    assert "4 of 124 recordings are unlabelled" in refusal
    assert run(monkeypatch, "plan", *arguments, "--json") == 0
    captured = capsys.readouterr()
    assert f"warning: a build will end here: {refusal}\n" in captured.err
    assert json.loads(captured.out)["warnings"][-1] == f"a build will end here: {refusal}"
    assert run(monkeypatch, "plan", *arguments, "--max-bad", 5) == 0
    assert "a build will end here" not in capsys.readouterr().err
