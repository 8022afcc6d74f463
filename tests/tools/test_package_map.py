import pathlib

from tests import test_layering
from tools import package_map


def test_it_shows_every_package_and_what_it_imports():
    found = package_map.imports()
    packages = {package.split(".")[0] for package in test_layering.ORDER if package}
    assert set(found) == packages | {"commands", "ground"}
    assert "training" in found["commands"] and found["ground"] == set() and "commands" not in found["training"]
    assert all(package_map.sentence(package) for package in found)


def test_each_row_imports_only_from_rows_below_it():
    found = package_map.imports()
    rows = package_map.rows(found)
    row_of = {package: number for number, row in enumerate(rows) for package in row}
    assert rows[0] == ["api", "commands"] and rows[-1] == ["ground"]
    assert all(row_of[other] > row_of[package] for package, used in found.items() for other in used)


def test_an_arrow_that_a_path_implies_is_left_out():
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert package_map.direct(arrows) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_the_picture_is_written(tmp_path, capsys):
    package_map.main(package_map.MapConfig(output=str(tmp_path / "map.png")))
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "18 boxes" in capsys.readouterr().out


def test_contributing_shows_it_and_names_every_package():
    guide = (pathlib.Path(package_map.__file__).parent.parent / "CONTRIBUTING.md").read_text()
    assert "docs/pictures/packages.png" in guide
    assert [package for package in package_map.imports() if f"`{package}`" not in guide] == []
