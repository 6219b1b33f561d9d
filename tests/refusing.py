"""What a command says to bad input."""


def refusal(main, arguments, capsys):
    """The one line with which a command refuses its arguments: nothing else is printed, and the exit code is 2."""
    capsys.readouterr()
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:  # of the parser
        code = end.code
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, ""), printed
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    return line
