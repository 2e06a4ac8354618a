"""The survey of a cache finds where the files of its rows lie, and believes nothing that it didn't see."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from audio_cache_daemon.cache.survey import Survey, survey_cache
from audio_cache_daemon.errors import CacheUnreadableError, ConfigError
from audio_cache_daemon.location import STATE_DIRECTORY, CacheLocation
from builders import CacheBuilder


@pytest.fixture
def cache(tmp_path: Path) -> CacheBuilder:
    """An empty cache in `audio/audio_cache`."""
    return CacheBuilder(tmp_path)


def _survey(cache: CacheBuilder, *look_from: Path) -> Survey:
    return survey_cache(cache.write().path, look_from)


def _locate(cache: CacheBuilder, *look_from: Path) -> CacheLocation:
    return _survey(cache, *look_from).inventory.location


def _put(path: Path) -> str:
    """Make an audio file; its path as a row has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"sound")
    return str(path)


def _unfound(survey: Survey) -> dict[str, int]:
    return {problem.where: problem.count for problem in survey.problems}


class TestRoots:
    """Audio roots are few, and hold little but audio."""

    def test_the_directory_of_the_files_is_the_root(self, cache: CacheBuilder) -> None:
        cache.add()
        location = _locate(cache)
        assert (location.path, location.audio_roots) == (cache.location.path, (cache.output,))
        assert (location.path_base, location.path_map) == (None, ())

    def test_a_directory_in_a_root_is_no_root(self, cache: CacheBuilder, tmp_path: Path) -> None:
        cache.add()
        cache.add(path=_put(tmp_path / "audio/deep/er/rain_1700000000000.wav"))
        assert _locate(cache).audio_roots == (cache.output,)

    def test_few_directories_side_by_side_are_a_root_each(self, cache: CacheBuilder, tmp_path: Path) -> None:
        for name in "abc":
            cache.add(path=_put(tmp_path / "out" / name / "rain_1700000000000.wav"))
        assert _locate(cache).audio_roots == tuple(tmp_path / "out" / name for name in "abc")

    def test_of_many_directories_side_by_side_the_parent_is_the_root(self, cache: CacheBuilder, tmp_path: Path) -> None:
        """A directory for each month or prompt: the next one has to be in a root too."""
        for name in "abcd":
            cache.add(path=_put(tmp_path / "out" / name / "rain_1700000000000.wav"))
        assert _locate(cache).audio_roots == (tmp_path / "out",)

    def test_a_parent_that_everyone_can_write_never_stands_for_its_directories(
        self, cache: CacheBuilder, tmp_path: Path
    ) -> None:
        for name in "abcd":
            cache.add(path=_put(tmp_path / "out" / name / "rain_1700000000000.wav"))
        (tmp_path / "out").chmod(0o1777)
        assert len(_locate(cache).audio_roots) == 4

    def test_a_directory_of_very_few_rows_is_left_out_and_remarked_on(
        self, cache: CacheBuilder, tmp_path: Path
    ) -> None:
        """One row that names somebody's music must not put the music at risk."""
        for _ in range(30):
            cache.add()
        cache.add(path=_put(tmp_path / "music/song.mp3"))
        survey = _survey(cache)
        assert survey.inventory.location.audio_roots == (cache.output,)
        assert "too few" in survey.remarks["audio_roots", str(tmp_path / "music")]

    def test_a_link_that_rows_go_through_stands_for_both_spellings(self, cache: CacheBuilder, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(cache.output)
        real = cache.add()
        cache.add(path=str(tmp_path / "link" / real.name))
        survey = _survey(cache)
        assert survey.inventory.location.audio_roots == (tmp_path / "link",)
        assert survey.inventory.rows.present().all()

    def test_a_link_in_a_root_is_no_root_of_its_own(self, cache: CacheBuilder, tmp_path: Path) -> None:
        _put(tmp_path / "elsewhere/rain_1700000000000.wav")
        (cache.output / "link").symlink_to(tmp_path / "elsewhere")
        cache.add()
        cache.add(path=str(cache.output / "link/rain_1700000000000.wav"))
        assert _locate(cache).audio_roots == (cache.output,)

    def test_a_directory_that_is_here_without_any_of_the_files_is_a_problem(self, cache: CacheBuilder) -> None:
        cache.add(audio=None)
        survey = _survey(cache)
        assert survey.inventory.location.audio_roots == (cache.location.path,)
        assert _unfound(survey) == {f"{cache.output}/": 1}

    @pytest.mark.parametrize("kind", ["home", "open"])
    def test_a_root_that_holds_more_than_audio_is_remarked_on(
        self, cache: CacheBuilder, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        cache.add()
        if kind == "home":
            monkeypatch.setenv("HOME", str(cache.output))
        else:
            cache.output.chmod(0o777)
        assert ("audio_roots", str(cache.output)) in _survey(cache).remarks

    def test_an_empty_index_has_the_cache_as_its_root(self, cache: CacheBuilder) -> None:
        assert _locate(cache).audio_roots == (cache.location.path,)


class TestPathMap:
    """The directories of a generator in a container are found by the names of its files."""

    def _add(self, cache: CacheBuilder, theirs: str, ours: Path, count: int = 1, *, there: int | None = None) -> None:
        for number in range(count):
            name = f"rain_{1700000000000 + number}.wav"
            if there is None or number < there:
                _put(ours / name)
            cache.add(path=f"{theirs}/{name}")

    @pytest.mark.parametrize("ours", ["audio", "audio/audio_cache", "audio/beside"])
    def test_files_in_the_cache_or_its_parent_or_beside_it_are_found(
        self, cache: CacheBuilder, tmp_path: Path, ours: str
    ) -> None:
        self._add(cache, "/writer/out", tmp_path / ours, 3)
        survey = _survey(cache)
        assert survey.inventory.location.path_map == (("/writer/out", str(tmp_path / ours)),)
        assert survey.inventory.location.audio_roots == (tmp_path / ours,)
        assert survey.inventory.rows.present().all()
        assert "for 3 rows; of 3" in survey.remarks["path_map", "/writer/out"]

    def test_directories_below_a_mapped_one_need_no_mapping_of_their_own(self, cache: CacheBuilder) -> None:
        for name in ("", "/2026/01", "/2026/02", "/2026/03"):
            self._add(cache, f"/writer/out{name}", Path(f"{cache.output}{name}"), 2)
        survey = _survey(cache)
        assert survey.inventory.location.path_map == (("/writer/out", str(cache.output)),)
        assert survey.inventory.rows.present().all()

    def test_files_anywhere_are_found_from_a_directory_that_is_named(self, cache: CacheBuilder, tmp_path: Path) -> None:
        self._add(cache, "/writer/out", tmp_path / "far/away")
        assert _locate(cache).path_map == ()
        assert _locate(cache, tmp_path / "far/away").path_map == (("/writer/out", str(tmp_path / "far/away")),)

    def test_a_few_equal_names_prove_nothing(self, cache: CacheBuilder, tmp_path: Path) -> None:
        self._add(cache, "/writer/out", tmp_path / "audio/beside", 5, there=2)
        survey = _survey(cache)
        assert survey.inventory.location.path_map == ()
        assert _unfound(survey) == {"/writer/out/": 5}

    def test_our_own_trash_is_not_where_the_generator_writes(self, cache: CacheBuilder) -> None:
        self._add(cache, "/writer/out", cache.output / STATE_DIRECTORY)
        assert _locate(cache).path_map == ()


class TestPathBase:
    """The directory in which relative paths begin is found by the files that are there from it."""

    @pytest.mark.parametrize("path", ["audio/out/rain_1700000000000.wav", "out/rain_1700000000000.wav"])
    def test_an_ancestor_of_the_cache_is_found(self, cache: CacheBuilder, path: str) -> None:
        _put(cache.output / "out/rain_1700000000000.wav")
        cache.add(path=path)
        survey = _survey(cache)
        assert survey.inventory.location.path_base == Path(
            str(cache.output / "out/rain_1700000000000.wav")[: -len(path) - 1]
        )
        assert survey.inventory.location.audio_roots == (cache.output / "out",)
        assert survey.inventory.rows.present().all()

    def test_a_directory_that_is_named_is_found(self, cache: CacheBuilder, tmp_path: Path) -> None:
        _put(tmp_path / "far/away/rain.wav")
        cache.add(path="away/rain.wav")
        assert _locate(cache, tmp_path / "far").path_base == tmp_path / "far"

    def test_without_a_file_there_is_no_base(self, cache: CacheBuilder) -> None:
        cache.add()
        cache.add(path="out/rain.wav")
        cache.add(path="bare.wav")
        survey = _survey(cache)
        assert survey.inventory.location.path_base is None
        assert _unfound(survey) == {"out/": 1, "a bare file name": 1}

    def test_the_base_is_the_one_from_which_most_files_are_there(self, cache: CacheBuilder, tmp_path: Path) -> None:
        for number in range(3):
            _put(tmp_path / f"out/rain_{number}.wav")
            cache.add(path=f"out/rain_{number}.wav")
        _put(cache.output / "out/rain_0.wav")
        assert _locate(cache).path_base == tmp_path


class TestHostilePaths:
    """A path that no configuration can name is left alone and reported."""

    @pytest.mark.parametrize(
        "directory",
        ["/a/\n- /etc/", "/a/\x00/", "/a/\udcff/", "/a/../b/", f"/a/{STATE_DIRECTORY}/", f"/{'long' * 300}/"],
    )
    def test_it_is_a_problem_and_nothing_else(self, cache: CacheBuilder, directory: str) -> None:
        cache.add()
        row = f'{{"path": "{_json(directory)}rain_1700000000000.wav", "prompt": "rain", "prompt_norm": "rain"}}\n'
        cache.add_line(row.encode())
        survey = _survey(cache)
        assert survey.inventory.location.audio_roots == (cache.output,)
        assert _unfound(survey) == {directory: 1}

    def test_a_directory_that_is_there_but_has_no_utf_8_name_is_a_problem(
        self, cache: CacheBuilder, tmp_path: Path
    ) -> None:
        directory = os.fsencode(tmp_path) + b"/\xff"
        os.mkdir(directory)  # noqa: PTH102 - a path in bytes
        (Path(os.fsdecode(directory)) / "rain.wav").write_bytes(b"sound")
        cache.add_line(f'{{"path": "{tmp_path}/\\udcff/rain.wav", "prompt": "rain"}}\n'.encode())
        assert list(_unfound(_survey(cache)).values()) == [1]

    def test_a_cache_that_cannot_be_named_is_refused(self, cache: CacheBuilder, tmp_path: Path) -> None:
        cache.write()
        shutil.move(cache.output, tmp_path / "two\nlines")
        with pytest.raises(ConfigError, match="symbolic link"):
            survey_cache(tmp_path / "two\nlines/audio_cache")


def _json(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def test_a_directory_without_an_index_is_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheUnreadableError, match=r"meta\.jsonl"):
        survey_cache(tmp_path)


@pytest.mark.parametrize(("directory", "name"), [("Audio Cache", "audio-cache"), ("…", "cache"), ("x" * 90, "x" * 64)])
def test_the_name_of_the_cache_is_one_that_a_configuration_takes(tmp_path: Path, directory: str, name: str) -> None:
    path = tmp_path / directory
    path.mkdir()
    (path / "meta.jsonl").touch()
    assert survey_cache(path).inventory.location.name == name
