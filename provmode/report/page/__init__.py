"""A run as one HTML file that needs nothing else.

* `data`        what the page shows, as plain values
* `groups`      what it says of many PCs together
* `rows`        its list of PCs, as JSON
* `known`       its waivers
* `trend`       its drawing of compliance over time
* `render`      the page, by the files in `templates`
* `of_report`   the page of one JSON report
* `of_history`  the page of a run in the history
* `templates/`  HTML, style and script

To show something else, give it a place in `data` and in ``templates/page.html``, and fill it where the page comes from.
"""
