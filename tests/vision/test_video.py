"""Videos: written, read, cut into clips, broken files; data sets of videos and samplers of their clips."""
import numpy as np
import pytest

import rushlight as rl
from rushlight.vision import datasets
from rushlight.vision import io as vio
from rushlight.vision.datasets import samplers

av = pytest.importorskip("av")


def frames(count, seed=0):
    """Plain frames that a codec keeps: each has one grey level of its own."""
    levels = (rl.arange(count) * 12 + seed).clamp(0, 255).to(rl.uint8)
    return levels.view(-1, 1, 1, 1).expand(count, 48, 64, 3).contiguous()


def write(path, count, seed=0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    vio.write_video(path, frames(count, seed), fps=10, **options)
    return path


def levels(video):
    return video.float().mean((1, 2, 3)).tolist()


def test_frames_come_back(tmp_path):
    path = write(tmp_path / "a.mp4", 20)
    video, sound, info = vio.read_video(path, pts_unit="sec")
    assert video.shape == (20, 48, 64, 3) and video.dtype is rl.uint8 and sound.shape == (0, 0)
    assert info == {"video_fps": 10.0} and np.allclose(levels(video), levels(frames(20)), atol=3)
    part, _, _ = vio.read_video(path, 0.5, 0.9, pts_unit="sec", output_format="TCHW")
    assert part.shape == (5, 3, 48, 64) and np.allclose(levels(part), levels(frames(20)[5:10]), atol=3)
    times, rate = vio.read_video_timestamps(path, pts_unit="sec")
    assert rate == 10.0 and np.allclose([float(time) for time in times], np.arange(20) / 10)
    whole, _ = vio.read_video_timestamps(path)
    part, _, _ = vio.read_video(path, whole[3], whole[4])
    assert np.allclose(levels(part), levels(frames(20)[3:5]), atol=3)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound(tmp_path, channels):
    wave = 0.5 * rl.sin(rl.arange(16000) * (2 * np.pi * 440 / 16000)).expand(channels, -1)
    path = write(tmp_path / "a.mp4", 10, audio_array=wave, audio_fps=16000, audio_codec="aac")
    video, sound, info = vio.read_video(path, pts_unit="sec")
    assert len(video) == 10 and info["audio_fps"] == 16000 and sound.dtype is rl.float32
    assert sound.shape[0] == channels and 16000 <= sound.shape[1] < 19000
    middle = sound[:, 4000:12000]
    strength = np.abs(np.fft.rfft(middle[0].numpy()))
    assert strength.argmax() == 220 and abs(middle.abs().max().item() - 0.5) < 0.1


def test_broken_files(tmp_path):
    path = write(tmp_path / "a.mp4", 20)
    content = path.read_bytes()
    generator = np.random.RandomState(0)
    broken = [b"", b"no video", content[:len(content) // 2], content[:60]]
    for _ in range(40):
        changed = bytearray(content)
        for at in generator.randint(0, len(content), 20):
            changed[at] = generator.randint(256)
        broken.append(bytes(changed))
    for number, data in enumerate(broken):
        (tmp_path / "b.mp4").write_bytes(data)
        for read in (vio.read_video, vio.read_video_timestamps):
            try:
                read(tmp_path / "b.mp4")
            except RuntimeError as error:
                assert "cannot be read" in str(error)
            else:
                assert number > 3
    with pytest.raises(RuntimeError, match="cannot be read"):
        vio.read_video(tmp_path / "none.mp4")


def test_wrong_frames(tmp_path):
    with pytest.raises(ValueError, match=r"\(T, H, W, 3\)"):
        vio.write_video(tmp_path / "a.mp4", rl.zeros(4, 8, 8, dtype=rl.uint8), 10)


@pytest.fixture
def actions(tmp_path):
    for name, seed in (("Jump", 0), ("Walk", 5)):
        write(tmp_path / "videos" / name / f"{name.lower()}_1.avi", 12, seed, video_codec="mpeg4")
    write(tmp_path / "videos" / "Walk" / "walk_2.avi", 6, video_codec="mpeg4")
    return tmp_path


def test_ucf101(actions):
    lists = actions / "lists"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text("Jump/jump_1.avi 1\nWalk/walk_2.avi 2\n")
    (lists / "testlist01.txt").write_text("Walk/walk_1.avi\n")
    root = str(actions / "videos")
    data = datasets.UCF101(root, str(lists), frames_per_clip=4, step_between_clips=4)
    assert data.classes == ["Jump", "Walk"] and len(data) == 4
    assert [data[i][2] for i in range(4)] == [0, 0, 0, 1]
    video, _, _ = data[1]
    assert video.shape == (4, 48, 64, 3) and np.allclose(levels(video), levels(frames(12)[4:8]), atol=6)
    test = datasets.UCF101(root, str(lists), 4, 4, train=False, _precomputed_metadata=data.metadata)
    assert len(test) == 3 and test[0][2] == 1


def test_hmdb51(actions):
    lists = actions / "lists"
    lists.mkdir()
    (lists / "Jump_test_split1.txt").write_text("jump_1.avi 1\n")
    (lists / "Walk_test_split1.txt").write_text("walk_1.avi 2\nwalk_2.avi 0\n")
    for train, label in ((True, 0), (False, 1)):
        data = datasets.HMDB51(str(actions / "videos"), str(lists), 6, 6, train=train)
        assert len(data) == 2 and data[0][2] == label
    with pytest.raises(ValueError, match="fold"):
        datasets.HMDB51(str(actions / "videos"), str(lists), 6, fold=4)


def test_kinetics(tmp_path):
    for name in ("abseiling", "yoga"):
        write(tmp_path / "val" / name / "x_000001_000011.mp4", 10)
    data = datasets.Kinetics(str(tmp_path), frames_per_clip=5, split="val", step_between_clips=5, frame_rate=5)
    video, _, target = data[1]
    assert len(data) == 2 and video.shape == (5, 3, 48, 64) and target == 1
    assert np.allclose(levels(video), levels(frames(10)[::2]), atol=3)


def test_samplers_of_clips(actions):
    paths = sorted([str(path) for path in (actions / "videos").rglob("*.avi")])
    clips = datasets.video.VideoClips(paths, 3, 3)
    assert [len(found) for found in clips.clips] == [4, 4, 2]
    uniform = samplers.UniformClipSampler(clips, 3)
    assert list(uniform) == [0, 1, 3, 4, 5, 7, 8, 8, 9] and len(uniform) == 9
    chosen = list(samplers.RandomClipSampler(clips, 3))
    assert len(chosen) == len(set(chosen)) == len(samplers.RandomClipSampler(clips, 3)) == 8
    assert sum([index < 4 for index in chosen]) == 3 and {8, 9} <= set(chosen)
    with pytest.raises(TypeError, match="VideoClips"):
        samplers.UniformClipSampler([1, 2], 3)


def test_clips_are_shared_out():
    data = list(range(14))
    shares = [list(samplers.DistributedSampler(data, 4, rank, group_size=2)) for rank in range(4)]
    assert shares == [[0, 1, 8, 9], [2, 3, 10, 11], [4, 5, 12, 13], [6, 7, 0, 1]]
    sampler = samplers.DistributedSampler(data, 2, 0, shuffle=True)
    first = list(sampler)
    sampler.set_epoch(1)
    assert len(first) == len(sampler) == 7 and list(sampler) != first
    with pytest.raises(ValueError, match="group size"):
        samplers.DistributedSampler(data, 2, 0, group_size=3)
