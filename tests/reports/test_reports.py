"""Results of tests: files, the page, and comparisons."""

import csv
import json
import re
import shutil
import subprocess
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from lowrank_unroll.command_line.compare import FORMATS
from lowrank_unroll.errors import DataError
from lowrank_unroll.networks import BART, ZeroFilled
from lowrank_unroll.reports import (
    Evaluation,
    Heading,
    Page,
    PlayedSeries,
    SampleResult,
    command_to_repeat,
    comparison_table,
    distributions,
    evaluation_table,
    method_names,
    methods,
    number,
    objections,
    read_evaluation,
)
from lowrank_unroll.reports.comparison import common_headings, paired_difference
from lowrank_unroll.reports.figures import thresholds
from lowrank_unroll.reports.page import summary_rows

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def sample(name, psnr, ssim=0.9, **kwargs):
    facts = {"origin": "synthetic", "mask": "00ff", "norm": 5.0, "zero_filled": {"psnr": 10.0, "ssim": 0.2}}
    return SampleResult(name=name, reconstruction={"psnr": psnr, "ssim": ssim}, **(facts | kwargs))


def evaluation(*samples, **kwargs):
    facts = {"run": "runs/a/version_1", "network": "TLRNet", "parameters": 10, "seed": 1, "checkpoint": "best.ckpt"}
    return Evaluation(command="lowrank-unroll test", versions={"torch": "2"}, samples=list(samples), **(facts | kwargs))


ONE = evaluation(sample("a", 30.0), sample("b", 20.5), sample("c", 25.0, None))


class TestFiles:
    @pytest.mark.parametrize("place", ["", "test", "test/metrics.json"])
    def test_what_is_written_is_read(self, tmp_path, place):
        whole = replace(ONE, samples=[*ONE.samples, sample("perfect", float("inf"))])
        whole.write(tmp_path / "test")
        assert read_evaluation(tmp_path / place) == whole

    def test_methods_without_training_stand_beside(self, tmp_path):
        compared = {"LinearInterpolation": {"psnr": 29.0, "ssim": None}, "Another": {"psnr": float("inf"), "ssim": 0.5}}
        seconds = {"reconstruction": 0.5, "LinearInterpolation": 2.0}
        found = evaluation(sample("a", 30.0, untrained=compared, seconds=seconds))
        found.write(tmp_path)
        assert read_evaluation(tmp_path) == found
        with (tmp_path / "metrics.csv").open() as file:
            row, *_ = csv.DictReader(file)
        assert float(row["LinearInterpolation_psnr"]) == 29
        assert row["LinearInterpolation_ssim"] == ""
        assert found.seconds() == 0.5
        assert found.seconds("LinearInterpolation") == 2
        assert found.seconds("Another") is None
        Page(found, {"TLRNet": found.reconstructions()}).write(tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text()
        assert "<td>LinearInterpolation</td><td>29.00" in text
        assert "Seconds per sample: TLRNet 0.500, LinearInterpolation 2.00</p>" in text

    def test_what_an_older_version_wrote_without_them_is_read(self, tmp_path):
        ONE.write(tmp_path)
        content = json.loads((tmp_path / "metrics.json").read_text())
        for one in content["samples"]:
            del one["untrained"], one["seconds"]
        (tmp_path / "metrics.json").write_text(json.dumps(content))
        assert read_evaluation(tmp_path) == ONE

    def test_json_is_json(self, tmp_path):
        evaluation(sample("perfect", float("inf"), None)).write(tmp_path)
        text = (tmp_path / "metrics.json").read_text()
        json.loads(text, parse_constant=pytest.fail)
        assert json.loads(text)["statistics"]["reconstruction"]["ssim"] == {"mean": None, "std": None}

    def test_statistics(self, tmp_path):
        ONE.write(tmp_path)
        with (tmp_path / "metrics.csv").open() as file:
            rows = {row["image"]: row for row in csv.DictReader(file)}
        assert list(rows) == ["a", "b", "c", "mean", "std"]
        assert float(rows["mean"]["psnr"]) == pytest.approx(np.mean([30, 20.5, 25]))
        assert float(rows["std"]["psnr"]) == pytest.approx(np.std([30, 20.5, 25], ddof=1))
        assert float(rows["mean"]["ssim"]) == pytest.approx(0.9)
        assert rows["c"]["ssim"] == ""

    def test_an_unfinished_test_is_explained(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="holds no finished test: give a folder"):
            read_evaluation(tmp_path)

    @pytest.mark.parametrize(
        "text", ["", "[]", "{}", '{"statistics": 1, "samples": 2}', '"text"', "3", "null", "[" * 9999, "{" + 5000 * "9"]
    )
    def test_other_files_are_refused(self, tmp_path, text):
        (tmp_path / "metrics.json").write_text(text)
        with pytest.raises(DataError, match=r"metrics\.json was not written by `lowrank-unroll test`"):
            read_evaluation(tmp_path)

    @pytest.mark.parametrize("share", [0, 0.3, 0.7, 0.99])
    def test_a_truncated_file_is_refused(self, tmp_path, share):
        ONE.write(tmp_path)
        whole = (tmp_path / "metrics.json").read_text()
        (tmp_path / "metrics.json").write_text(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match=r"metrics\.json was not written by"):
            read_evaluation(tmp_path)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"samples": []}, "it has no samples"),
            ({"novelty": 1}, "novelty"),
            ({"seed": "1"}, "seed is '1'"),
            ({"network": ["TLRNet"]}, "network is"),
            ({"versions": None}, "versions is None"),
            ({"samples": [{"name": 1}]}, "it has no 'reconstruction'"),
            ({"samples": {"a": 1}}, ""),
            ({"samples": [asdict(sample(["a"], 1.0))]}, r"name is \['a'\]"),
            ({"samples": [asdict(sample("a", "much"))]}, "much"),
            ({"samples": [asdict(sample("a", 1.0, norm=None))]}, ""),
            ({"samples": [asdict(sample("a", 10**400))]}, ""),
        ],
    )
    def test_a_file_of_another_version_is_refused(self, tmp_path, change, reason):
        ONE.write(tmp_path)
        content = json.loads((tmp_path / "metrics.json").read_text())
        (tmp_path / "metrics.json").write_text(json.dumps(content | change))
        with pytest.raises(DataError, match=rf"metrics\.json was not written by .*another version of it: .*{reason}"):
            read_evaluation(tmp_path)

    @pytest.mark.slow
    @given(st.lists(st.floats(width=32), min_size=2, max_size=4), st.floats(min_value=0, width=32))
    @settings(max_examples=10)
    @example([float("inf"), float("-inf")], float("nan"))
    def test_odd_numbers_are_kept_and_compared(self, tmp_path_factory, values, norm):
        folder = tmp_path_factory.mktemp("test")
        samples = [sample(str(place), value, None, norm=norm) for place, value in enumerate(values)]
        one = evaluation(*samples)
        one.write(folder)
        read = read_evaluation(folder)
        assert repr(read) == repr(one)
        comparison_table([read, one, evaluation(samples[0])])
        assert objections(read, one) == []
        distributions(methods([read, one, ONE]))


class TestComparison:
    @given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=2, max_size=20))
    def test_intervals_are_those_of_the_paired_t_test(self, pairs):
        one, other = (evaluation(*(sample(str(i), values[n]) for i, values in enumerate(pairs))) for n in (0, 1))
        found = paired_difference(one, other, "psnr")
        before, after = np.array(pairs).T
        if np.ptp(after - before) < 1e-9:
            assert found.low <= found.mean <= found.high
            return
        interval = stats.ttest_rel(after, before).confidence_interval(0.95)
        assert found == pytest.approx((np.mean(after - before), interval.low, interval.high), rel=1e-6, abs=1e-9)

    def test_a_test_does_not_differ_from_itself(self):
        assert paired_difference(ONE, ONE, "psnr") == (0, 0, 0)
        assert objections(ONE, ONE) == []

    def test_one_pair_has_no_interval(self):
        assert paired_difference(evaluation(sample("a", 30.0)), ONE, "psnr") is None
        assert paired_difference(ONE, evaluation(sample("x", 30.0), sample("y", 1.0)), "psnr") is None

    def test_undefined_values_are_left_out(self):
        other = evaluation(sample("a", 31.0), sample("b", 22.5), sample("c", 25.0, 0.5))
        assert paired_difference(ONE, other, "ssim").mean == 0

    @pytest.mark.parametrize(
        ("other", "objection"),
        [
            (replace(ONE, samples=ONE.samples[:2]), "1 samples are in one test only"),
            (replace(ONE, seed=2), "the seed of the data is 2, not 1"),
            (replace(ONE, samples=[*ONE.samples[:2], sample("c", 25.0, mask="1234")]), "masks differ in 1 of 3"),
            (replace(ONE, samples=[*ONE.samples[:2], sample("c", 25.0, norm=6.0)]), "images differ in 1 of 3"),
        ],
    )
    def test_unlike_tests_are_objected_to(self, other, objection):
        (found,) = objections(ONE, other)
        assert objection in found

    def test_samples_of_the_same_name_are_told_apart(self):
        one = evaluation(sample("a", 30.0), sample("a", 20.0))
        other = evaluation(sample("a", 31.0), sample("a", 21.0))
        assert paired_difference(one, other, "psnr") == (1, 1, 1)

    def test_the_command(self, tmp_path, command_line, capsys):
        ONE.write(tmp_path / "one/test")
        other = evaluation(
            sample("a", 31.0), sample("b", 22.0), sample("c", 26.0), run="two", network="Nuclear", seed=9
        )
        other.write(tmp_path / "two/test")
        command_line("compare", "one", "two")
        shown = capsys.readouterr().out
        assert "25.17 (4.75)" in shown
        assert "+1.17 [+0.450, +1.88]" in shown
        assert "3 pairs" in shown
        assert "Warning: two against runs/a/version_1: the seed of the data is 9" in shown
        assert (tmp_path / "comparison.png").stat().st_size > 1000

    def test_the_command_tells_one_run_given_twice_apart(self, tmp_path, command_line, capsys):
        ONE.write(tmp_path / "one/test")
        command_line("compare", "one", "one", "one/test/metrics.json")
        rows = re.findall(r"^ *(.*?)  +(.*?)  ", capsys.readouterr().out, re.MULTILINE)
        name = "TLRNet (runs/a/version_1)"
        assert rows[-6:-1] == [
            (name, "25.17 (4.75)"), (f"{name}, no. 2", "25.17 (4.75)"), ("difference, 3 pairs", "0 [0, 0]"),
            (f"{name}, no. 3", "25.17 (4.75)"), ("difference, 3 pairs", "0 [0, 0]"),
        ]  # fmt: skip

    def test_the_command_compares_runs_of_other_metrics(self, tmp_path, command_line, capsys):
        ONE.write(tmp_path / "one/test")
        other = replace(ONE, network="Other", samples=[replace(ONE.samples[0], reconstruction={"sharpness": 3.0})])
        other.write(tmp_path / "two/test")
        command_line("compare", "one", "two")
        assert re.search(r"Other  +- \(-\)  +- \(-\)", capsys.readouterr().out)

    @pytest.mark.parametrize(
        ("output", "problem"),
        [
            ("x.doc", "expected a picture that ends in .png"),
            ("x", "expected a picture that ends in .png"),
            ("nowhere/x.png", "there is no folder nowhere"),
            ("one/test/metrics.json/x.png", "there is no folder one/test/metrics.json"),
            ("folder.png", "is a folder, expected a file"),
        ],
    )
    def test_the_command_refuses_a_picture_that_cannot_be_written(self, tmp_path, refused, capsys, output, problem):
        ONE.write(tmp_path / "one/test")
        (tmp_path / "folder.png").mkdir()
        assert f"--output {output}: {problem}" in refused("compare", "one", "--output", output)
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("suffix", FORMATS)
    def test_the_command_writes_pictures_of_every_format(self, tmp_path, command_line, suffix):
        ONE.write(tmp_path / "one/test")
        command_line("compare", "one", "--output", f"picture{suffix.upper()}")
        assert (tmp_path / f"picture{suffix.upper()}").stat().st_size > 1000

    def test_the_command_explains_an_unfinished_run(self, refused):
        assert refused("compare", "nowhere").startswith("nowhere holds no finished test")


def test_thresholds_say_what_they_are_fractions_of():
    (axes,) = thresholds([(0.1, "norm"), (0.2, "norm")]).axes
    assert axes.get_ylabel() == "threshold / norm"
    (axes,) = thresholds([(0.1, "norm"), (0.2, "largest"), (0.3, "norm")]).axes
    assert axes.get_ylabel() == "threshold / norm or largest"
    bars = {bars.get_label(): [(bar.get_center()[0], bar.get_height()) for bar in bars] for bars in axes.containers}
    assert bars == {"norm": [(0, 0.1), (2, 0.3)], "largest": [(1, 0.2)]}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["norm", "largest"]


class TestPage:
    def test_it_holds_everything_and_loads_nothing(self, tmp_path):
        cine = PlayedSeries("beating", ("reference", "reconstruction"), np.zeros((3, 4, 10), np.uint8))
        figures = {"Learned thresholds": thresholds([(0.1, "norm"), (0.2, "norm")])}
        hostile = replace(ONE, network="<script>alert(1)</script>")
        page = Page(
            hostile, {"TLRNet": ONE.reconstructions()}, None, [cine], figures, "seed_everything: 1", ["Mind this."]
        )
        page.write(tmp_path / "report.html")
        text = (tmp_path / "report.html").read_text()
        assert "<script>alert" not in text
        assert all(word in text for word in ("25.17 (4.75)", "seed_everything: 1", "Mind this.", "lowrank-unroll test"))
        sources = re.findall(r'(?:src|href)="([^"]{5})', text)
        assert len(sources) == 3
        assert set(sources) == {"data:"}

    @pytest.mark.skipif(BROWSER is None, reason="no Chromium")
    def test_a_browser_plays_series_and_sorts_samples(self, tmp_path):
        """Chromium runs the page without a network; a last script clicks as a reader would."""
        cine = PlayedSeries("beating", ("reference", "reconstruction"), np.full((3, 4, 10), 255, np.uint8))
        Page(ONE, {"TLRNet": ONE.reconstructions()}, None, [cine]).write(tmp_path / "report.html")
        clicks = """<script>
            addEventListener("error", event => document.body.dataset.error = event.message);
            const canvas = document.querySelector("canvas");
            const pixel = () => canvas.getContext("2d").getImageData(9, 3, 1, 1).data.join();
            let tries = 0;
            const read = () => {
              // Timers run as fast as they can here, but images are decoded beside them, in a time of their own.
              for (let number = 0; number < 5e6; number++) Math.sqrt(number);
              if (pixel() === "0,0,0,0" && tries++ < 500) return setTimeout(read, 10);
              const [name, psnr, ssim] = document.querySelectorAll("#samples th button");
              const cells = () => [...document.querySelectorAll("#samples td:first-child")];
              const names = () => cells().map(cell => cell.textContent).join();
              document.body.dataset.pixel = pixel();
              document.querySelector(".controls button").click();
              psnr.click();
              document.body.dataset.rising = names();
              psnr.click();
              document.body.dataset.falling = names();
              ssim.click();
              document.body.dataset.undefinedLast = names().at(-1);
            };
            setTimeout(read, 1000);
        </script>"""
        with (tmp_path / "report.html").open("a") as file:
            file.write(clicks)
        command = [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=10000",
            "--dump-dom",
        ]
        page = (tmp_path / "report.html").as_uri()
        shown = subprocess.run([*command, page], capture_output=True, text=True, timeout=120, check=True).stdout
        attributes = dict(re.findall(r'data-([a-z-]+)="([^"]*)"', re.search("<body([^>]*)>", shown)[1]))
        assert attributes == {
            "pixel": "255,255,255,255", "rising": "b,c,a", "falling": "a,c,b", "undefined-last": "c",
        }  # fmt: skip
        assert ">Play</button>" in shown

    def test_the_best_method_is_marked(self):
        rows = {"one": [{"psnr": 30.0, "mse": 0.1, "own": 1.0}], "two": [{"psnr": 20.0, "mse": 0.01, "own": 2.0}]}
        headings = {
            "psnr": Heading("PSNR", "dB", higher_is_better=True),
            "mse": Heading("MSE", higher_is_better=False),
            "own": Heading("own"),
        }
        marks = {name: [cell.best for cell in cells] for name, cells in summary_rows(rows, headings).items()}
        assert marks == {"one": [True, False, False], "two": [False, True, False]}


def test_methods_of_one_class_are_named_by_the_settings_in_which_they_differ():
    networks = [BART("-m -i 50"), BART("-m -i 100"), ZeroFilled(), ZeroFilled()]
    assert method_names(networks) == [
        "BART (options -m -i 50)", "BART (options -m -i 100)", "ZeroFilled", "ZeroFilled, no. 2",
    ]  # fmt: skip


def test_numbers_have_three_digits():
    assert [number(value) for value in (27.534, -3.456, 0.7774, 0.00234, None)] == [
        "27.53",
        "-3.46",
        "0.777",
        "0.0023",
        "-",
    ]


class TestHeadings:
    OWN = Heading("Sharpness", "lines per mm", higher_is_better=True)

    def test_a_metric_that_says_nothing_of_itself_has_its_name(self):
        assert ONE.heading("sharpness") == Heading("sharpness", "", None)
        assert Heading("sharpness").text == "sharpness"

    def test_they_are_kept_in_the_file(self, tmp_path):
        whole = replace(ONE, headings={"ssim": self.OWN})
        whole.write(tmp_path)
        read = read_evaluation(tmp_path)
        assert read == whole
        assert read.heading("ssim").text == "Sharpness, lines per mm"

    def test_a_file_may_have_none(self, tmp_path):
        ONE.write(tmp_path)
        content = json.loads((tmp_path / "metrics.json").read_text())
        del content["headings"]
        (tmp_path / "metrics.json").write_text(json.dumps(content))
        assert read_evaluation(tmp_path) == ONE

    def test_runs_side_by_side_need_them_once(self):
        whole = replace(ONE, headings={"ssim": self.OWN})
        assert comparison_table([ONE, whole]).columns[2].header.plain == self.OWN.text
        assert common_headings([ONE, whole]) == {"ssim": self.OWN}

    def test_tables_plots_and_pages_have_them(self, tmp_path):
        whole = replace(ONE, headings={"ssim": self.OWN})
        assert comparison_table([whole]).columns[2].header.plain == self.OWN.text
        assert evaluation_table(whole).columns[2].header.plain == self.OWN.text
        titles = [axes.get_title() for axes in distributions(methods([whole]), whole.headings).axes]
        assert titles == ["psnr", self.OWN.text]
        Page(whole, methods([whole])).write(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text()
        assert f"<th>{self.OWN.text}</th>" in page
        row = re.search("<tr><td>TLRNet</td>(.*?)</tr>", page)[1]
        assert re.findall("<td(.*?)>", row) == ["", ' class="best"']  # of psnr nothing is known here


@pytest.mark.parametrize(
    ("called", "program"),
    [
        ("/env/bin/lowrank-unroll", "lowrank-unroll"),
        ("/env/lowrank_unroll/__main__.py", "python -m lowrank_unroll"),
        ("cli.py", "python cli.py"),
    ],
)
def test_a_test_is_run_again_as_it_was_called(called, program, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", [called, "test"])
    assert command_to_repeat(tmp_path, None) == f"python {called} test"  # a script that leaves no config
    (tmp_path / "config.yaml").touch()
    assert command_to_repeat(tmp_path, "best.ckpt") == (
        f"{program} test --config {tmp_path}/config.yaml --ckpt_path best.ckpt"
    )
