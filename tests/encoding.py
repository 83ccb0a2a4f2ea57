"""Sound files as phones, browsers and cameras write them, encoded by FFmpeg."""

import io

import av
import numpy as np
from av.container import OutputContainer
from jaxtyping import Float


def encoded(
    sound: Float[np.ndarray, " sample"],
    sample_rate_hz: int,
    kind: str,
    codec: str,
    layout: str = "mono",
    pictures: bool = False,
    **options: str,
) -> bytes:
    """A file of this kind and codec, by FFmpeg's names for them and their options, with the same
    sound on all channels, and perhaps some black pictures."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=options) as container:
        stream = container.add_stream(codec, rate=sample_rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 128_000
        if pictures:
            _add_pictures(container, 10 * len(sound) // sample_rate_hz)
        fit = av.AudioResampler(
            stream.format, stream.layout, sample_rate_hz, frame_size=stream.frame_size or 1024
        )
        samples = np.repeat(sound.astype(np.float32), stream.layout.nb_channels)[None]
        whole = av.AudioFrame.from_ndarray(samples, "flt", layout)
        whole.sample_rate, whole.pts = sample_rate_hz, 0
        for frame in [*fit.resample(whole), *fit.resample(None), None]:
            container.mux(stream.encode(frame))
    return file.getvalue()


def film(seconds: int, kind: str = "mp4") -> bytes:
    """A film without sound."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        _add_pictures(container, 10 * seconds)
    return file.getvalue()


def _add_pictures(container: OutputContainer, pictures: int) -> None:
    stream = container.add_stream("mpeg4", rate=10)
    assert isinstance(stream, av.VideoStream)
    stream.width = stream.height = 32
    for number in range(pictures):
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        picture.pts = number
        container.mux(stream.encode(picture))
    container.mux(stream.encode(None))
