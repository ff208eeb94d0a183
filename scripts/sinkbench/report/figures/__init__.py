"""Figures: a file each. `report/figures/<word>.py` defines:

    TITLE, CAPTION         what is shown and how intervals are made; {names} are filled from WORDS
    CATEGORY               the part of the report that it belongs to: one of catalogue.CATEGORIES
    WORDS                  facts of the config that caption and figure need (catalogue.caption_fields)
    draw(measurements, words)   a matplotlib Figure, made without pyplot

`draw` raises select.NotMeasured if the study lacks the numbers. What figures share is in `_style`.
"""
