"""How things are said: the words that terminal, page, report and notifications share. Pure text, without a medium."""
