"""Data sets of sounds: small copies of their folders in, items out; downloads and archives that attack."""
import io
import tarfile
import zipfile

import pytest

import rushlight as rl
from rushlight import audio
from rushlight.audio import datasets
from rushlight.audio.datasets import utils

pytest.importorskip("soundfile")


def write(path, rate=16000, count=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.save(path, rl.ones(1, count) * 0.25, rate, encoding="PCM_S", bits_per_sample=16)


def test_librispeech_and_its_relatives(tmp_path):
    place = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "121"
    write(place / "84-121-0001.flac")
    (place / "84-121.trans.txt").write_text("84-121-0000 NO\n84-121-0001 GO DO IT\n")
    data = datasets.LIBRISPEECH(tmp_path, "dev-clean")
    sound, *rest = data[0]
    assert len(data) == 1 and sound.shape == (1, 100) and rest == [16000, "GO DO IT", 84, 121, 1]
    assert data.get_metadata(0)[0].endswith("84-121-0001.flac")
    assert datasets.LibriSpeechBiasing(tmp_path, "dev-clean", blist=["IT", "GO"])[0][-1] == ["GO", "IT"]
    with pytest.raises(ValueError, match="url"):
        datasets.LIBRISPEECH(tmp_path, "dev")
    with pytest.raises(RuntimeError, match="download=True"):
        datasets.LIBRISPEECH(tmp_path, "dev-other")


def test_libritts_and_ljspeech(tmp_path):
    place = tmp_path / "LibriTTS" / "dev-clean" / "1" / "2"
    write(place / "1_2_3_4.wav", 24000)
    (place / "1_2_3_4.original.txt").write_text("Mr. A")
    (place / "1_2_3_4.normalized.txt").write_text("Mister A")
    assert datasets.LIBRITTS(tmp_path, "dev-clean")[0][1:] == (24000, "Mr. A", "Mister A", 1, 2, "1_2_3_4")
    top = tmp_path / "LJSpeech-1.1"
    write(top / "wavs" / "LJ001.wav", 22050)
    (top / "metadata.csv").write_text('LJ001|in "15|in fifteen\n')
    assert datasets.LJSPEECH(tmp_path)[0][1:] == (22050, 'in "15', "in fifteen")


def test_speech_commands(tmp_path):
    top = tmp_path / "SpeechCommands" / "speech_commands_v0.02"
    names = "yes/aa_nohash_0.wav", "yes/bb_nohash_1.wav", "no/cc_nohash_0.wav", "_background_noise_/x_nohash_0.wav"
    for name in names:
        write(top / name)
    (top / "validation_list.txt").write_text("yes/bb_nohash_1.wav\n")
    (top / "testing_list.txt").write_text("no/cc_nohash_0.wav\n")
    assert len(datasets.SPEECHCOMMANDS(tmp_path)) == 3
    wanted = {"training": ("yes", "aa", 0), "validation": ("yes", "bb", 1), "testing": ("no", "cc", 0)}
    for subset, expected in wanted.items():
        data = datasets.SPEECHCOMMANDS(tmp_path, subset=subset)
        assert len(data) == 1 and data[0][1:] == (16000, *expected)
    with pytest.raises(ValueError, match="subset"):
        datasets.SPEECHCOMMANDS(tmp_path, subset="dev")


def test_small_sets(tmp_path):
    write(tmp_path / "waves_yesno" / "1_0_1.wav", 8000)
    assert datasets.YESNO(tmp_path)[0][1:] == (8000, [1, 0, 1])
    write(tmp_path / "genres" / "blues" / "blues.00003.wav", 22050)
    write(tmp_path / "genres" / "blues" / "other.wav", 22050)
    data = datasets.GTZAN(tmp_path)
    assert len(data) == 1 and data[0][1:] == (22050, "blues")
    assert [len(datasets.GTZAN(tmp_path, subset=s)) for s in ("training", "validation", "testing")] == [443, 197, 290]
    (tmp_path / "clips").mkdir()
    (tmp_path / "train.tsv").write_text("client_id\tpath\tsentence\n1\ta.mp3\tHello\n")
    assert len(datasets.COMMONVOICE(tmp_path)) == 1
    arctic = tmp_path / "ARCTIC" / "cmu_us_aew_arctic"
    write(arctic / "wav" / "arctic_a0001.wav")
    (arctic / "etc").mkdir()
    (arctic / "etc" / "txt.done.data").write_text('( arctic_a0001 "Author of it." )\n')
    assert datasets.CMUARCTIC(tmp_path)[0][1:] == (16000, "Author of it.", "a0001")


def test_speakers(tmp_path):
    top = tmp_path / "VCTK-Corpus-0.92"
    write(top / "wav48_silence_trimmed" / "p225" / "p225_001_mic2.flac", 48000)
    (top / "txt" / "p225").mkdir(parents=True)
    (top / "txt" / "p225" / "p225_001.txt").write_text("Please call Stella.")
    assert datasets.VCTK_092(tmp_path)[0][1:] == (48000, "Please call Stella.", "p225", "001")
    write(tmp_path / "wav" / "id10001" / "abc" / "00001.wav")
    (tmp_path / "iden_split.txt").write_text("1 id10001/abc/00001.wav\n3 id10001/abc/00002.wav\n")
    (tmp_path / "veri_test.txt").write_text("1 id10001/abc/00001.wav id10001/abc/00001.wav\n")
    data = datasets.VoxCeleb1Identification(tmp_path)
    assert len(data) == 1 and data[0][1:] == (16000, 1, "id10001-abc-00001")
    pair = datasets.VoxCeleb1Verification(tmp_path)[0]
    assert pair[0].shape == pair[1].shape and pair[2:4] == (16000, 1)


def test_emotions_and_talks(tmp_path):
    session = tmp_path / "IEMOCAP" / "Session1"
    write(session / "sentences" / "wav" / "Ses01F_impro01" / "Ses01F_impro01_F000.wav")
    (session / "dialog" / "EmoEvaluation").mkdir(parents=True)
    (session / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt").write_text(
        "% header\n[6.2 - 8.2]\tSes01F_impro01_F000\tneu\t[2.5, 2.5, 2.5]\n")
    assert datasets.IEMOCAP(tmp_path)[0][1:] == (16000, "Ses01F_impro01_F000", "neu", "Ses01F")
    assert len(datasets.IEMOCAP(tmp_path, utterance_type="scripted")) == 0
    top = tmp_path / "TEDLIUM_release1"
    write(top / "dev" / "sph" / "Talk.wav", 16000, 16000)
    (top / "dev" / "stm").mkdir(parents=True)
    (top / "dev" / "stm" / "Talk.stm").write_text("Talk 1 Speaker 0.25 0.5 <o> hello there\n")
    (top / "TEDLIUM.150K.dic").write_text("hello HH AH L OW\n")
    data = datasets.TEDLIUM(tmp_path, subset="dev", audio_ext=".wav")
    assert data[0][0].shape == (1, 4000) and data[0][2].strip() == "hello there"
    assert data.phoneme_dict == {"hello": ("HH", "AH", "L", "OW")}


def test_mixtures_and_music(tmp_path):
    folder = tmp_path / "Libri2Mix" / "wav8k" / "min" / "dev"
    for name in ("mix_clean", "s1", "s2"):
        write(folder / name / "a.wav", 8000)
    rate, mixture, sources = datasets.LibriMix(tmp_path, "dev")[0]
    assert rate == 8000 and mixture.shape == (1, 100) and len(sources) == 2
    for source in ("bass", "drums", "other", "vocals"):
        write(tmp_path / "musdb18hq" / "test" / "Song" / f"{source}.wav", 44100)
    sounds, rate, count, name = datasets.MUSDB_HQ(tmp_path, "test")[0]
    assert sounds.shape == (4, 1, 100) and (rate, count, name) == (44100, 100, "Song")


def test_dictionary(tmp_path):
    (tmp_path / "cmudict-0.7b").write_text(";;; comment\n!EXCLAMATION-POINT  EH2 K\nA(1)  EY1\nABLE  EY1 B\n")
    (tmp_path / "cmudict-0.7b.symbols").write_text("EY1\nB\n")
    assert list(datasets.CMUDict(tmp_path)) == [("A", ["EY1"]), ("ABLE", ["EY1", "B"])]
    assert datasets.CMUDict(tmp_path, exclude_punctuations=False)[0][0] == "!"
    assert datasets.CMUDict(tmp_path).symbols == ["EY1", "B"]
    with pytest.raises(RuntimeError, match="does not exist"):
        datasets.CMUDict(tmp_path / "nowhere")


def test_a_download_is_checked_and_unpacked(tmp_path, monkeypatch):
    write(tmp_path / "source" / "waves_yesno" / "1_1.wav", 8000)
    archive = tmp_path / "waves_yesno.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "source" / "waves_yesno", "waves_yesno")
    url, root = archive.as_uri(), tmp_path / "root"
    root.mkdir()
    monkeypatch.setitem(utils.CHECKSUMS, url, "0" * 64)
    with pytest.raises(RuntimeError, match="hash"):
        datasets.YESNO(root, url, download=True)
    monkeypatch.delitem(utils.CHECKSUMS, url)
    assert datasets.YESNO(root, url, download=True)[0][2] == [1, 1]


def test_archives_write_nothing_outside(tmp_path):
    for name, make in (("a.tar", tarfile.open), ("a.zip", zipfile.ZipFile)):
        with make(tmp_path / name, "w") as file:
            if name == "a.zip":
                file.writestr("../evil.txt", "x")
            else:
                file.addfile(tarfile.TarInfo("../evil.txt"), io.BytesIO())
        with pytest.raises(RuntimeError, match="refusing"):
            utils.unpack(tmp_path / name, tmp_path / "inside")
    assert not (tmp_path / "evil.txt").exists()


def test_sample_rates_are_expected(tmp_path):
    write(tmp_path / "a.wav", 8000)
    with pytest.raises(ValueError, match="sample rate should be 16000"):
        utils.read_sound(tmp_path, "a.wav", 16000)
