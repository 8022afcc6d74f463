import dataclasses

import pytest

from bird_tf import config
from bird_tf.labels import taxonomy, verdicts
from tests import damage

HEADER = "file,start_seconds,end_seconds,class_id,verdict,remark\n"


def test_verdicts_are_read_and_one_that_is_not_unsure_counts(tmp_path):
    rows = ["a/x.wav,1,2,aa,unsure,", "a/x.wav,1.0,2.0,aa,Yes,", "a/x.wav,1,2,bb,other,c", "ü y.wav,0,0.5,aa,unsure,"]
    (tmp_path / "v.csv").write_text("\ufeff" + HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    found = verdicts.read(str(tmp_path / "v.csv"))
    assert [(v.file, v.start_seconds, v.class_id, v.is_present) for v in found] == [
        ("a/x.wav", 1.0, "aa", True), ("a/x.wav", 1.0, "bb", False), ("ü y.wav", 0.0, "aa", None),
    ]  # fmt: skip


def test_clips_on_which_people_disagree_are_left_out(tmp_path, caplog):
    said = {"aa": ("yes", "no"), "bb": ("yes", "unsure", "skip"), "cc": ("no", "no"), "dd": ("other,x", "other,y")}
    rows = [f"x.wav,1,2,{c},{answer}{',' * (',' not in answer)}" for c, answers in said.items() for answer in answers]
    (tmp_path / "v.csv").write_text(HEADER.replace("remark", "species") + "\n".join(rows) + "\n")
    assert [(v.class_id, v.answer) for v in verdicts.read(str(tmp_path / "v.csv"))] == [("bb", "yes"), ("cc", "no")]
    assert "v.csv: the verdicts on 2 clips contradict each other, the first: x.wav at 1 s, aa;" in caplog.text


def test_the_keys_of_the_page_are_answers(tmp_path):
    keys = ("y", "N", "o", "u", "s")
    (tmp_path / "v.csv").write_text(HEADER + "".join(f"x.wav,{i},{i + 1},aa,{key},\n" for i, key in enumerate(keys)))
    found = verdicts.read(str(tmp_path / "v.csv"))
    assert [v.answer for v in found] == [verdicts.YES, verdicts.NO, verdicts.OTHER, verdicts.UNSURE]


def test_clips_without_a_verdict_are_as_if_they_were_not_there(tmp_path):
    (tmp_path / "v.csv").write_text(HEADER + "x.wav,1,2,aa,skip,\nx.wav,2,3,aa,Unsure,\nx.wav,3,4,aa,Skip,\n")
    assert [(v.start_seconds, v.answer) for v in verdicts.read(str(tmp_path / "v.csv"))] == [(2.0, "unsure")]


def test_a_species_beside_yes_or_no_is_refused_but_for_the_same_and_for_none(tmp_path):
    header = HEADER.replace("remark", "species")
    for said in ("yes,aa", "yes,none", "no,noise", "no,NA", "unsure,bb"):
        (tmp_path / "v.csv").write_text(f"{header}x.wav,1,2,aa,{said}\n")
        assert len(verdicts.read(str(tmp_path / "v.csv"))) == 1
    for said in ("yes,bb", "no,bb", "no,aa", "no,?"):
        (tmp_path / "v.csv").write_text(f"{header}x.wav,1,2,aa,{said}\n")
        with pytest.raises(config.InputError, match=r"v\.csv, line 2: (yes|no) beside the species .*; write other"):
            verdicts.read(str(tmp_path / "v.csv"))


def test_tables_that_r_has_saved_are_the_same(tmp_path):
    columns = (*verdicts.COLUMNS, *verdicts.FURTHER_COLUMNS, *verdicts.LATER_COLUMNS)
    cells = ["x.wav", "1.000", "2.000", "aa", "yes", "", "0.9", "", "", "", "", "", "", ""]
    (tmp_path / "v.csv").write_text(f"{','.join(columns)}\n{','.join(cells)}\n")
    of_r = ["1", "x.wav", "1", "2", "aa", "yes", *(cell or "NA" for cell in cells[5:])]
    (tmp_path / "r.csv").write_text("\n".join(",".join(f'"{c}"' for c in line) for line in (["", *columns], of_r)))
    assert verdicts.read(str(tmp_path / "r.csv")) == verdicts.read(str(tmp_path / "v.csv"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_verdicts_are_read_as_a_spreadsheet_program_saves_them(tmp_path, encoding, delimiter):
    decimal = "." if delimiter == "," else ","
    row = delimiter.join(["ü y.wav", f"0{decimal}5", f"1{decimal}25", "'=aa", "other", "Parus", "1", "0", "41"])
    header = delimiter.join((*verdicts.COLUMNS, *verdicts.FURTHER_COLUMNS))
    (tmp_path / "v.csv").write_bytes(f"{header}\r\n{row}\r\n\r\n".encode(encoding))
    [found] = verdicts.read(str(tmp_path / "v.csv"))
    assert found == verdicts.Verdict(
        file="ü y.wav", start_seconds=0.5, end_seconds=1.25, class_id="=aa", answer="other", species="Parus",
        probability=1.0, band_lowest=0.0, band_size=41,
    )  # fmt: skip


def test_names_of_columns_may_be_in_upper_case_and_cells_of_rows_empty(tmp_path):
    header = ",".join((*verdicts.COLUMNS, *verdicts.FURTHER_COLUMNS))
    rows = ["y.wav,0,1,a,other,Parus,0.5,0,41", "y.wav,1,2,a,yes,,0.25,0,41"]
    for name, lines in (("v.csv", [header, *rows]), ("w.csv", [header.title(), rows[0], "," * 8, rows[1], "," * 8])):
        (tmp_path / name).write_text("\n".join(lines))
    assert verdicts.read(str(tmp_path / "w.csv")) == verdicts.read(str(tmp_path / "v.csv"))


def test_the_sizes_of_bands_are_read_as_they_were_written(tmp_path):
    sizes = ((0.0, 85), (0.15, 0), (0.5, 12))
    header = ",".join((*verdicts.COLUMNS, *verdicts.FURTHER_COLUMNS, *verdicts.LATER_COLUMNS))

    def read(lowest, cell):
        (tmp_path / "v.csv").write_text(f"{header}\nx.wav,0,1,aa,yes,,0.6,{lowest},12,,3,{cell},1,\n")
        [found] = verdicts.read(str(tmp_path / "v.csv"))
        return found

    found = read(0.5, verdicts.sizes_cell(sizes))
    assert (found.band_turn, found.band_sizes, found.class_turn, found.class_sizes) == (3, sizes, 1, ())
    for lowest, cell in ((0.5, "12"), (0.5, "0=1;"), (0.5, "0.5=-1"), (0.5, "1.2.3=4"), (0.4, "0=85;0.5=12")):
        with pytest.raises(config.InputError, match=r"v\.csv, line 2: band_sizes "):
            read(lowest, cell)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",1,2,aa,yes,", "file is missing"), ("x.wav,2,2,aa,yes,", "need a span"), ("x.wav,,2,aa,yes,", "need a span"),
        ("x.wav,1,2,,yes,", "class_id is missing"), ("x.wav,1,2,aa,maybe,", "a verdict out of yes, no"),
        ("x.wav,1,2,aa,,", "not ''; write skip"), ("x.wav", "1 cells"), ("x.wav,1,1e999,aa,yes,", "end_seconds must"),
        ("x.wav,-1,2,aa,yes,", "start_seconds must be a number of at least 0"), ("x.wav,1,٣,aa,yes,", "end_seconds"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read_are_named(tmp_path, row, problem):
    (tmp_path / "v.csv").write_text(HEADER + row + "\n", encoding="utf-8")
    with pytest.raises(config.InputError, match=rf"v\.csv, line 2: .*{problem}"):
        verdicts.read(str(tmp_path / "v.csv"))


def test_another_species_is_not_the_predicted_one(tmp_path):
    (tmp_path / "v.csv").write_text(HEADER.replace("remark", "species") + "x.wav,1,2,aa,other,aa\n")
    with pytest.raises(config.InputError, match=r"v\.csv, line 2: other names 'aa', which was predicted; write yes"):
        verdicts.read(str(tmp_path / "v.csv"))


@damage.counts
def test_no_damage_ends_in_anything_but_a_refusal(tmp_path, count):
    path = tmp_path / "v.csv"
    path.write_text(HEADER + "a/x.wav,1,2,aa,no,\nü y.wav,0,0.5,aa,unsure,=1\n", encoding="utf-8")
    damage.check_reader(path, lambda: verdicts.read(str(path)), count)


def test_the_class_of_a_verdict_is_found_by_each_of_its_names(caplog):
    classes = taxonomy.Taxonomy(("aa", "bb"), ("Avis alba", "Buteo brevis"))
    one = verdicts.Verdict(file="x.wav", start_seconds=1, end_seconds=2, class_id="bb", answer="other", species="aa")
    by_name = dataclasses.replace(one, class_id="Avis alba", species="Corvus")
    lost = [dataclasses.replace(one, class_id=name) for name in ("zz", "yy", "zz")]
    assert verdicts.predicted([one, by_name, *lost], classes) == {one: 1, by_name: 0}
    assert "3 of 5 verdicts are on classes that the model does not have, and are not used (yy, zz);" in caplog.text
    with pytest.raises(config.InputError, match=r"x\.wav at 1 s: other names 'buteo brevis', which is 'bb', which was"):
        verdicts.predicted([dataclasses.replace(one, species="buteo brevis")], classes)
