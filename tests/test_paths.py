"""From the path in a row to a directory below a root, reached step by step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_cache_daemon.location import CacheLocation
from audio_cache_daemon.paths import Folders, PathResolver, file_key, open_regular, path_parts, root_folder

ROOT = Path("/srv/audio")


def _location(*roots: Path, base: Path | None = None, path_map: tuple[tuple[str, str], ...] = ()) -> CacheLocation:
    return CacheLocation("test", Path("/srv/cache"), roots, base, path_map)


def _descriptors() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


PARTS = st.lists(st.sampled_from(["a", "b", ".", "..", "", "audio", "srv", ".audio-cache-daemon"]), max_size=5)


@given(PARTS, st.sampled_from(["", "/", "//", "/srv/audio/", "./"]), st.sampled_from(["a.wav", ""]))
def test_a_path_is_resolved_as_the_kernel_would_or_not_at_all(parts: list[str], prefix: str, name: str) -> None:
    """A folder below the root is what normalising the path gives, and never holds `..` or our own directory."""
    path = prefix + "/".join([*parts, name])
    folder, found = PathResolver(_location(ROOT)).split(path)
    assert found == path.rpartition("/")[2]
    if folder.problem is None:
        directory = path.rpartition("/")[0]
        assert str(ROOT.joinpath(*folder.parts)) == os.path.normpath(directory).replace("//", "/")
        assert not {"..", ".audio-cache-daemon"} & set(directory.split("/"))
        assert folder == PathResolver(_location(ROOT)).split(f"{ROOT}/{'/'.join(folder.parts)}/x.wav")[0]
    else:
        assert folder.root == -1


@pytest.mark.parametrize("name", ["a.wav", "/a.wav", "/", "/.wav"])
def test_a_name_without_a_directory_is_relative_or_in_the_root_of_all(name: str) -> None:
    """The two look alike once they are split."""
    relative, _ = PathResolver(_location(ROOT, Path("/"), base=ROOT)).split("x.wav")
    absolute, _ = PathResolver(_location(ROOT, Path("/"), base=ROOT)).split("/x.wav")
    assert (relative.root, absolute.root) == (0, 1)
    resolver = PathResolver(_location(ROOT, base=ROOT))
    assert (resolver.split(name)[0].problem is None) == (not name.startswith("/"))


def test_only_whole_names_are_mapped() -> None:
    """The longest source first, its own directory included; what is relative isn't mapped by an absolute one."""
    path_map = (("/app", "/srv/audio"), ("/app/x", "/srv/audio/y"), ("/", "/srv/audio/all"))
    resolver = PathResolver(_location(ROOT, path_map=path_map))
    assert resolver.split("/app/a.wav")[0].parts == ()
    assert resolver.split("/app/x/a.wav")[0].parts == ("y",)
    assert resolver.split("/app/xx/a.wav")[0].parts == ("xx",)
    assert resolver.split("/application/a.wav")[0].parts == ("all", "application")
    assert resolver.split("/a.wav")[0].parts == ("all",)
    assert resolver.split("a.wav")[0].problem is not None


def test_a_problem_says_what_would_help() -> None:
    """A relative path wants a base, one outside the roots another root."""
    resolver = PathResolver(_location(ROOT))
    assert "path_base" in (resolver.split("a.wav")[0].problem or "")
    assert "--audio-root /elsewhere " in (resolver.split("/elsewhere/a.wav")[0].problem or "")
    assert "--audio-root / " in (resolver.split("/a.wav")[0].problem or "")


def test_keys_tell_files_apart_across_folders_and_agree_across_spellings(tmp_path: Path) -> None:
    """A folder is the same seen from this root, from one around it, and through a link to it."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "link").symlink_to(inner)
    seen = [
        PathResolver(_location(root)).split(f"{path}/x.wav")[0]
        for root, path in ((inner, inner), (tmp_path, inner), (tmp_path / "link", tmp_path / "link"))
    ]
    seen += [root_folder(tmp_path / "link", 0), root_folder(tmp_path, 0).child("a").child("b")]
    assert len({folder.key for folder in seen}) == 1
    assert file_key(seen[0], "x") != file_key(seen[0], "y") != file_key(root_folder(tmp_path, 0), "y")


def test_a_folder_is_opened_through_no_link_and_stays_cached(tmp_path: Path) -> None:
    """Many can be open one after the other, and none stays open afterwards."""
    for number in range(200):
        (tmp_path / "sub" / str(number)).mkdir(parents=True)
    (tmp_path / "link").symlink_to("sub")
    (tmp_path / "file").write_bytes(b"")
    before = _descriptors()
    with Folders(_location(tmp_path)) as folders:
        for number in [*range(200), *range(200)]:
            descriptor = folders.descriptor(0, ("sub", str(number)))
            assert os.fstat(descriptor).st_ino == (tmp_path / "sub" / str(number)).stat().st_ino
        for parts in (("link",), ("link", "1"), ("file",)):
            with pytest.raises(NotADirectoryError):
                folders.descriptor(0, parts)
        with pytest.raises(FileNotFoundError):
            folders.descriptor(0, ("sub", "none", "deeper"))
        assert len(_descriptors()) < len(before) + 100
    assert _descriptors() == before


def test_another_file_system_below_a_root_is_not_entered() -> None:
    """`/proc` lies in `/`, on a device and a mount of its own."""
    with Folders(_location(Path("/"))) as folders:
        with pytest.raises(NotADirectoryError, match="/proc is on another mount"):
            folders.descriptor(0, ("proc",))
        with pytest.raises(NotADirectoryError, match="/proc is on another mount"):
            folders.descriptor(0, ("proc", "self"))


def test_a_root_may_be_a_mount_itself() -> None:
    """What lies in it is on the same mount."""
    with Folders(_location(Path("/proc"))) as folders:
        assert folders.descriptor(0, ("sys",)) >= 0


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory", "missing"])
def test_only_a_regular_file_is_opened(tmp_path: Path, kind: str) -> None:
    """Without waiting, and with a reason in words."""
    path = tmp_path / "x"
    (tmp_path / "real").write_bytes(b"")
    if kind in ("link", "dangling"):
        path.symlink_to("real" if kind == "link" else "nothing")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    before = _descriptors()
    with pytest.raises(OSError, match=r"symbolic link|no regular file|No such file"):
        open_regular(path)
    assert _descriptors() == before
    os.close(open_regular(tmp_path / "real"))


def test_parts_of_a_path_are_its_names() -> None:
    """Slashes and single dots between them say nothing."""
    assert path_parts("//a/./b//c/.") == path_parts("a/b/c") == ("a", "b", "c")
    assert path_parts("/") == path_parts("") == ()
