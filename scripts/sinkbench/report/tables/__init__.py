"""Tables: a file each. `report/tables/<word>.py` defines:

    TITLE, CAPTION         what is shown, units, how intervals are made; {names} are filled from WORDS
    CATEGORY               the part of the report that it belongs to: one of catalogue.CATEGORIES
    WORDS                  facts of the config that caption and table need (catalogue.caption_fields)
    build(measurements, words)   the table

`build` gets the tidy table of measurements and the facts by name. It returns a DataFrame whose headings
carry the units and whose cells are strings or estimate.Estimate; an empty string is an empty cell.
"""
