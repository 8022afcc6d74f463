from bird_tf.labels.layouts import tab_separated


def test_text_is_divided_into_lines_and_fields():
    text = 'a\t"b\t\r\n\n\t\t\n1\t\tc d\n'
    assert tab_separated.lines(text) == [["a", '"b', ""], ["1", "", "c d"]]
