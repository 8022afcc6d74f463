from bird_tf.audio import hearing


def test_a_front_end_hears_the_chunk_alone(small_front_end):
    heard = hearing.of(small_front_end)
    assert heard.chunk_samples == heard.span_samples == small_front_end.chunk_samples
    assert heard.samples_before == 0


def test_a_chunk_is_in_the_middle_of_its_span():
    heard = hearing.Hearing(sample_rate_hz=10, chunk_seconds=1.0, span_samples=15)
    assert (heard.chunk_samples, heard.samples_before) == (10, 2)  # 2 + 10 + 3
