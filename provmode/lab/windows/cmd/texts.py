"""Messages of cmd.exe and its tools, in English and, for German PCs, in German.

The English texts are Windows' own. Of the German texts the first four are Windows' own, as published in forum posts;
the others are translations.
"""

from __future__ import annotations

from provmode.lab.windows.state import PcState

_ENGLISH = {
    "not-recognized": "'{0}' is not recognized as an internal or external command,\r\n"
    "operable program or batch file.\r\n",
    "file-not-found": "The system cannot find the file specified.\r\n",
    "path-not-found": "The system cannot find the path specified.\r\n",
    "syntax": "The syntax of the command is incorrect.\r\n",
    "no-memory": "Not enough memory resources are available to process this command.\r\n",
    "line-too-long": "The command line is too long.\r\n",
    "unexpected": "{0} was unexpected at this time.\r\n",
    "dir-not-found": "File Not Found\r\n",
    "could-not-find": "Could Not Find {0}\r\n",
    "invalid-switch": 'Invalid switch - "{0}".\r\n',
    "duplicate": "A duplicate file name exists, or the file\r\ncannot be found.\r\n",
    "exists": "A subdirectory or file {0} already exists.\r\n",
    "access-denied": "Access is denied.\r\n",
    "not-empty": "The directory is not empty.\r\n",
    "no-folder": "The directory name is invalid.\r\n",
    "reg-not-found": "ERROR: The system was unable to find the specified registry key or value.\r\n",
    "reg-syntax": 'ERROR: Invalid syntax.\r\nType "REG QUERY /?" for usage.\r\n',
    "reg-done": "The operation completed successfully.\r\n",
    "reg-matches": "End of search: {0} match(es) found.\r\n",
    "hash-head": "{0} hash of {1}:\r\n",
    "hash-done": "CertUtil: -hashfile command completed successfully.\r\n",
    "hash-failed": "CertUtil: -hashfile command FAILED: {0}\r\n",
    "certutil-usage": "Missing argument\r\n\r\nUsage:\r\n  CertUtil [Options] -hashfile InFile [HashAlgorithm]\r\n",
    "file-invalid": "The volume for a file has been externally altered so that the opened file is no longer valid.\r\n",
    "algorithm-unknown": "The system cannot find the algorithm.\r\n",
    "no-channel": "The specified channel could not be found. Check channel configuration.\r\n",
    "events-failed": "Failed to read events. ",
    "query-invalid": "The specified query is invalid.\r\n",
    "too-few-arguments": "Too many arguments are specified or a required argument is missing.\r\n",
    "dism-head": "\r\nDeployment Image Servicing and Management tool\r\nVersion: {0}\r\n\r\n",
    "dism-image": "Image Version: {0}\r\n\r\n",
    "dism-failed": "\r\nError: {0}\r\n\r\n{1}\r\n"
    "The DISM log file can be found at C:\\Windows\\Logs\\DISM\\dism.log\r\n",
    "dism-option": "The {0} option is unknown.\r\nFor more information about the options, refer to the help by running "
    "DISM.exe /?.\r\n",
    "dism-code": "An error occurred. For more information, review the log file.\r\n",
    "no-service": "The specified service does not exist as an installed service.\r\n",
}
_GERMAN = {
    "not-recognized": 'Der Befehl "{0}" ist entweder falsch geschrieben oder\r\nkonnte nicht gefunden werden.\r\n',
    "file-not-found": "Das System kann die angegebene Datei nicht finden.\r\n",
    "path-not-found": "Das System kann den angegebenen Pfad nicht finden.\r\n",
    "syntax": "Syntaxfehler.\r\n",
    "no-memory": "Für diesen Befehl ist nicht genügend Arbeitsspeicher verfügbar.\r\n",
    "line-too-long": "Die Befehlszeile ist zu lang.\r\n",
    "unexpected": '"{0}" kann syntaktisch an dieser Stelle nicht verarbeitet werden.\r\n',
    "dir-not-found": "Datei nicht gefunden\r\n",
    "could-not-find": "{0} konnte nicht gefunden werden\r\n",
    "invalid-switch": 'Ungültiger Schalter - "{0}".\r\n',
    "duplicate": "Eine Datei mit diesem Namen existiert bereits, oder die Datei\r\nwurde nicht gefunden.\r\n",
    "exists": "Ein Unterverzeichnis oder eine Datei mit dem Namen {0} existiert bereits.\r\n",
    "access-denied": "Zugriff verweigert\r\n",
    "not-empty": "Das Verzeichnis ist nicht leer.\r\n",
    "no-folder": "Der Verzeichnisname ist ungültig.\r\n",
    "reg-not-found": "FEHLER: Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden.\r\n",
    "reg-syntax": "FEHLER: Ungültige Syntax.\r\n",
    "reg-done": "Der Vorgang wurde erfolgreich beendet.\r\n",
    "reg-matches": "Ende der Suche: {0} Übereinstimmung(en) gefunden.\r\n",
    "hash-head": "{0}-Hash von {1}:\r\n",
    "hash-done": "CertUtil: -hashfile-Befehl wurde erfolgreich ausgeführt.\r\n",
    "hash-failed": "CertUtil: -hashfile-Befehl ist fehlgeschlagen: {0}\r\n",
    "certutil-usage": "Fehlendes Argument\r\n\r\nSyntax:\r\n  CertUtil [Optionen] -hashfile InFile [HashAlgorithm]\r\n",
    "file-invalid": "Das Volume für eine Datei wurde extern geändert, sodass die geöffnete Datei ungültig ist.\r\n",
    "algorithm-unknown": "Der Algorithmus wurde nicht gefunden.\r\n",
    "no-channel": "Der angegebene Kanal wurde nicht gefunden. Überprüfen Sie die Kanalkonfiguration.\r\n",
    "events-failed": "Fehler beim Lesen von Ereignissen. ",
    "query-invalid": "Die angegebene Abfrage ist ungültig.\r\n",
    "too-few-arguments": "Es wurden zu viele Argumente angegeben, oder ein erforderliches Argument fehlt.\r\n",
    "dism-head": "\r\nTool zur Imageverwaltung für die Bereitstellung\r\nVersion: {0}\r\n\r\n",
    "dism-image": "Abbildversion: {0}\r\n\r\n",
    "dism-failed": "\r\nFehler: {0}\r\n\r\n{1}\r\nDie DISM-Protokolldatei befindet sich unter "
    "C:\\Windows\\Logs\\DISM\\dism.log.\r\n",
    "dism-option": "Die Option {0} ist unbekannt.\r\nWeitere Informationen zu den Optionen finden Sie in der Hilfe, "
    "die Sie mit DISM.exe /? aufrufen.\r\n",
    "dism-code": "Fehler. Weitere Informationen finden Sie in der Protokolldatei.\r\n",
    "no-service": "Der angegebene Dienst ist kein installierter Dienst.\r\n",
}


def message(pc: PcState, key: str, *values: str) -> str:
    """Return a message in the PC's language."""
    return (_GERMAN if pc.german else _ENGLISH)[key].format(*values)
