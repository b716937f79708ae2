"""Pictures and the HTML report, from plain records and arrays.

`model.ReportInput` is what a report is made of, `write.write_report` makes it; `format` turns results into
text for the page and the terminal alike. Nothing is imported here, so that a terminal table costs no plotting.
"""
