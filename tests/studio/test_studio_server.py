"""The studio's server: what it answers to its page, to many pages, and to those who mean harm."""

import json
import socket
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import mido
import numpy as np
import pytest
from studio_client import Client, served

from mirrornet.app.studio import answers, visitors
from mirrornet.app.studio.server import Settings
from mirrornet.app.studio.wire import packed, unpacked

pytestmark = pytest.mark.slow
CRASHING = str(Path(__file__).parents[1] / "crashing_plant.py")


def test_arrays_come_through_as_they_were_packed():
    heard = np.arange(7, dtype=np.uint8).reshape(1, 7)
    audio = np.linspace(-1, 1, 5, dtype=np.float32)
    head, found = unpacked(packed({"name": "Ü"}, audio=audio, heard=heard))
    assert head == {"name": "Ü"}
    np.testing.assert_array_equal(found["audio"], audio)
    np.testing.assert_array_equal(found["heard"], heard)


def test_a_sound_is_matched_shaped_and_saved(visitor, sung):
    sound = visitor.give(sung(60, 64, 67), "my%20tune.wav")
    assert (sound["name"], sound["duration_s"]) == ("my tune", 1.5)
    job = visitor.json("POST", "/api/matches", {"sound": sound["key"], "timbre": "knobs"})["job"]
    events = visitor.follow(job)
    kinds = [event["kind"] for event in events]
    assert kinds.index("notes") < kinds.index("done")
    found = events[-1]
    notes = found["score"]["notes"]
    assert [note["pitch_midi"] for note in notes] == [60, 64, 67]
    path = f"/api/matches/{found['match']}"
    _, as_found = visitor.arrays("GET", f"{path}/sound")
    part = {"score": found["score"], "start_s": 0, "end_s": 1.5, "every": 1}
    _, played = visitor.arrays("POST", f"{path}/play", part)
    np.testing.assert_allclose(played["audio"], as_found["audio"], atol=1e-4)
    assert played["heard"].shape == as_found["heard"].shape
    _, expected = visitor.arrays("POST", f"{path}/predict", part)
    far = np.abs(expected["heard"].astype(float) - played["heard"]).mean()
    silent = played["heard"].mean()
    assert expected["heard"].shape == played["heard"].shape
    assert far < 0.35 * silent  # the decoder predicts what the plant plays

    notes[0] |= {"pitch_midi": 72, "offset_s": 0.3}
    _, other = visitor.arrays("POST", f"{path}/play", part)
    assert np.abs(other["audio"] - played["audio"]).max() > 0.01
    end = round(0.5 * 44100)
    np.testing.assert_allclose(
        other["audio"][end + 9000 :], played["audio"][end + 9000 :], atol=1e-3
    )
    assert visitor.ask("PUT", f"{path}/score", found["score"])[0] == 204
    status, midi = visitor.ask("GET", f"{path}/files/midi")
    assert status == 200
    pitches = [
        m.note for m in mido.MidiFile(file=BytesIO(midi)) if m.type == "note_on" and m.velocity
    ]
    assert pitches == [72, 64, 67]
    status, preset = visitor.ask("GET", f"{path}/files/preset")
    assert status == 200
    assert "settings" in json.loads(preset)
    status, archive = visitor.ask("GET", f"{path}/files/zip")
    names = {Path(name).name for name in zipfile.ZipFile(BytesIO(archive)).namelist()}
    assert names >= {"report.html", "match.wav", "melody.mid", "controls.json", "match.vital"}


def test_refinement_keeps_locked_controls_and_can_be_cancelled(visitor, sung):
    found = visitor.match(visitor.give(sung(57, 60))["key"], timbre="knobs")
    path = f"/api/matches/{found['match']}/refine"
    how = {"score": found["score"], "locked": ["cutoff"], "refine": 6}
    events = visitor.follow(visitor.json("POST", path, how)["job"])
    better = events[-1]
    assert better["error"] <= found["error"] + 1e-6
    assert better["score"]["patch"]["cutoff"] == pytest.approx(found["score"]["patch"]["cutoff"])
    best = [event["best"]["error"] for event in events if event.get("best")]
    assert best
    assert best == sorted(best, reverse=True)

    job = visitor.json("POST", path, {**how, "refine": 2000})["job"]
    stopped = threading.Timer(2.0, visitor.ask, ("DELETE", f"/api/jobs/{job}"))
    stopped.start()
    last = visitor.follow(job)[-1]
    assert last["kind"] == "done"  # with the best so far
    assert last["error"] <= found["error"] + 1e-6


def test_a_wavetable_is_refined_from_where_it_is(visitor, sung):
    found = visitor.match(visitor.give(sung(64, 60))["key"], timbre="wavetable")
    score = found["score"]
    how = {"score": score, "locked": ["harmonics"], "refine": 1}
    better = visitor.follow(
        visitor.json("POST", f"/api/matches/{found['match']}/refine", how)["job"]
    )[-1]
    np.testing.assert_array_equal(
        better["score"]["patch"]["harmonics"], score["patch"]["harmonics"]
    )
    assert better["error"] < 1.5 * found["error"]


def test_ten_visitors_get_their_own_results(studio_at, sung):
    def visit(pitch: int) -> tuple[list[int], str, str]:
        client = Client(studio_at[1])
        client.ask("GET", "/")
        found = client.match(client.give(sung(pitch, pitch + 3))["key"], timbre="knobs")
        return [n["pitch_midi"] for n in found["score"]["notes"]], found["match"], client.cookie

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(visit, range(55, 65)))
    assert [pitches for pitches, *_ in answers] == [[n, n + 3] for n in range(55, 65)]
    other = Client(studio_at[1], answers[0][2])
    assert other.ask("GET", f"/api/matches/{answers[1][1]}/sound")[0] == 404


def test_a_plant_that_crashes_costs_its_job_only(visitor, sung):
    sound = visitor.give(sung(60, 62))["key"]
    found = visitor.match(sound, plant=CRASHING, refine=4)
    score = found["score"]
    score["notes"][0]["pitch_midi"] = 95
    path = f"/api/matches/{found['match']}"
    part = {"score": score, "start_s": 0, "end_s": 1}
    status, told = visitor.ask("POST", f"{path}/play", part)
    assert status == 400
    assert b"ended (code 7)" in told
    how = {"score": score, "refine": 4}
    last = visitor.follow(visitor.json("POST", f"{path}/refine", how)["job"])[-1]
    assert last["kind"] == "failed"
    assert "ended (code 7)" in last["text"]
    score["notes"][0]["pitch_midi"] = 60
    assert visitor.ask("POST", f"{path}/play", part)[0] == 200


def test_a_job_whose_page_is_closed_ends(visitor, sung, monkeypatch, studio_at):
    monkeypatch.setattr(visitors, "LEFT_S", 0.2)
    found = visitor.match(visitor.give(sung(60, 62))["key"], plant=CRASHING, refine=1)
    how = {"score": found["score"], "refine": 2000}
    job = visitor.json("POST", f"/api/matches/{found['match']}/refine", how)["job"]
    connection = socket.create_connection(("127.0.0.1", studio_at[1]))
    cookie = f"mirrornet-studio={visitor.cookie}"
    connection.sendall(
        f"GET /api/jobs/{job} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode()
    )
    assert connection.recv(100)
    connection.close()
    time.sleep(2)  # more than LEFT_S
    events = visitor.follow(job)
    assert events[-1]["kind"] in ("done", "cancelled")
    assert max(event.get("done", 0) for event in events[:-1]) < 2000


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:80"}, 403),
        ({"Host": "[::2]"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:5"}, 200),
        ({}, 200),
    ],
)
def test_only_the_studios_own_page_is_answered(visitor, headers, status):
    visitor.headers = headers
    assert visitor.ask("GET", "/api/runs")[0] == status


def test_without_a_session_nothing_is_answered(studio_at):
    stranger = Client(studio_at[1])
    for method, path in (("GET", "/api/runs"), ("POST", "/api/sounds"), ("POST", "/api/matches")):
        assert stranger.ask(method, path, b"{}")[0] == 403
    stranger.cookie = "made-up"
    assert stranger.ask("GET", "/api/runs")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/page/../server.py",
        "/page/%2e%2e/server.py",
        "/page/..%2fserver.py",
        "/api/runs/..%2f..%2fetc",
        "/api/runs/..",
        "/api/sounds/..%2f..%2fpasswd",
        "/api/matches/x/files/zip",
        "/api/compare/9/0/0",
    ],
)
def test_nothing_else_is_served(visitor, path):
    status, content = visitor.ask("GET", path)
    assert status in (400, 404)
    assert b"Starlette" not in content


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + bytes(200), b"RIFF\xff\xff\xff\xffWAVEfmt "]
)
def test_what_is_no_sound_is_refused_in_a_sentence(visitor, body, studio_at):
    status, told = visitor.ask("POST", "/api/sounds?name=x.wav", body)
    sentence = json.loads(told)["error"]
    assert status == 400
    assert sentence.endswith(".")
    assert "Traceback" not in sentence
    assert "/tmp" not in sentence


def test_an_upload_has_a_limit(visitor, monkeypatch, studio_at):
    monkeypatch.setattr(answers, "LARGEST_UPLOAD", 1 << 20)
    status, told = visitor.ask("POST", "/api/sounds?name=x.wav", bytes(3 << 20))
    assert status == 413
    assert b"larger than 1 MB" in told
    folder = studio_at[0].visitors.folder
    assert not [path for path in folder.rglob("upload") if path.stat().st_size > 0]


def test_names_of_files_do_no_harm(visitor, sung):
    for name in ("../../etc/passwd.wav", "<img src=x onerror=alert(1)>.wav", "a\r\nb: c.wav", ""):
        shown = visitor.give(sung(60), quote(name))["name"]
        assert shown
        assert not set(shown) & set('<>/\\\r\n".')


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"no json",
        b"[" * 100_000,
        {"start_s": 0, "end_s": 1},
        {"score": {"notes": 3}, "start_s": 0, "end_s": 1},
        {"score": {"notes": [], "patch": []}, "start_s": 0, "end_s": 1},
        {"score": {"notes": []}, "start_s": "0", "end_s": 1},
        {"score": {"notes": []}, "start_s": 0, "end_s": 1e9},
    ],
)
def test_requests_that_make_no_sense_are_refused(visitor, sung, body):
    found = visitor.match(visitor.give(sung(60))["key"], plant=CRASHING, refine=1)
    for kind in ("play", "predict"):
        status, told = visitor.ask("POST", f"/api/matches/{found['match']}/{kind}", body)
        assert status == 400
        assert json.loads(told)["error"].endswith(".")


def test_temporary_files_go_with_the_studio(sung):
    with served(Settings(0, workers=1)) as (studio, port):
        client = Client(port)
        client.ask("GET", "/")
        client.give(sung(60))
        folder = studio.visitors.folder
        assert any(folder.rglob("target.npy"))
    assert not folder.exists()


def test_visitors_beyond_the_most_and_their_files_are_forgotten(studio_at, sung, monkeypatch):
    monkeypatch.setattr(visitors, "MOST_VISITORS", 3)
    clients = [Client(studio_at[1]) for _ in range(5)]
    for client in clients:
        client.ask("GET", "/")
    assert clients[0].ask("GET", "/api/runs")[0] == 403
    assert clients[-1].ask("GET", "/api/runs")[0] == 200
    assert len(list(studio_at[0].visitors.folder.iterdir())) <= 3
