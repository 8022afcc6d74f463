from bird_tf.inference.writers import tab_separated


def test_a_field_never_holds_a_tab_or_a_line_end_and_is_never_quoted():
    assert tab_separated.line(["a\tb", 'the "c"', "d\r\ne", 1]) == 'a b\tthe "c"\td e\t1\n'
