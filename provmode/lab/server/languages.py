"""Windows' messages in the languages of the lab's PCs.

The English texts are those of the published list of WS-Management codes and of the recorded faults; the German texts
are translations of them. A text without a translation stays English, as on a PC with an incomplete language pack.
Clients must never match on texts: German PCs reveal a client that does.
"""

from __future__ import annotations

ENGLISH = "en-US"

_GERMAN = {
    "The WS-Management service cannot process the request. The service cannot find the resource identified by "
    "the resource URI and selectors. ": "Der WS-Verwaltungsdienst kann die Anforderung nicht verarbeiten. Die "
    "durch Ressourcen-URI und Selektoren angegebene Ressource wurde vom Dienst nicht gefunden. ",
    "The data source could not process the filter. The filter might be missing or it might be invalid. Change "
    "the filter and try the request again.  ": "Die Datenquelle konnte den Filter nicht verarbeiten. "
    "Möglicherweise fehlt der Filter oder er ist ungültig. Ändern Sie den Filter und versuchen Sie es erneut.  ",
    "The specified class does not exist in the given namespace. ": "Die angegebene Klasse ist im Namespace "
    "nicht vorhanden. ",
    "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  ": (
        "Der WS-Verwaltungsdienst kann den Vorgang nicht innerhalb der in OperationTimeout angegebenen Zeit "
        "abschließen.  "
    ),
    "Access is denied. ": "Zugriff verweigert ",
    "The system cannot find the file specified. ": "Das System kann die angegebene Datei nicht finden. ",
    "The WS-Management service cannot process the request because the request contained invalid selectors for "
    "the resource. ": "Der WS-Verwaltungsdienst kann die Anforderung nicht verarbeiten, weil sie für die "
    "Ressource ungültige Selektoren enthielt. ",
    "The WS-Management service cannot process the request. The maximum number of concurrent shells for this "
    "user has been exceeded. Close existing shells or raise the quota for this user. ": "Der "
    "WS-Verwaltungsdienst kann die Anforderung nicht verarbeiten. Die maximale Anzahl gleichzeitiger Shells für "
    "diesen Benutzer wurde überschritten. Schließen Sie Shells oder erhöhen Sie das Kontingent des Benutzers. ",
    "The WS-Management service cannot process the request. The maximum number of concurrent operations for "
    "this user has been exceeded. Close existing operations for this user, or raise the quota for this user. ": (
        "Der WS-Verwaltungsdienst kann die Anforderung nicht verarbeiten. Die maximale Anzahl gleichzeitiger "
        "Vorgänge für diesen Benutzer wurde überschritten. Schließen Sie Vorgänge dieses Benutzers oder erhöhen "
        "Sie sein Kontingent. "
    ),
    "The WS-Enumeration context in the enumeration is not valid. Enumeration may have been completed or "
    "canceled. You cannot use this enumeration context anymore. Start a new enumeration.  ": "Der "
    "WS-Enumeration-Kontext der Enumeration ist ungültig. Die Enumeration wurde möglicherweise abgeschlossen "
    "oder abgebrochen. Starten Sie eine neue Enumeration.  ",
    "Not found ": "Nicht gefunden ",
    "Provider load failure ": "Fehler beim Laden des Anbieters ",
    "Invalid namespace ": "Ungültiger Namespace ",
    "Invalid class ": "Ungültige Klasse ",
}
_TRANSLATIONS = {"de": _GERMAN}


def translate(text: str, language: str) -> str:
    """Return *text* as a Windows with the display language *language* (``de-DE``) writes it."""
    return _TRANSLATIONS.get(language.partition("-")[0].lower(), {}).get(text, text)
