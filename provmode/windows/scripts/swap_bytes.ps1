$ErrorActionPreference = 'Stop'
$reader = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8)
$asked = ConvertFrom-Json $reader.ReadToEnd()
$sha = [Security.Cryptography.SHA256]::Create()
$answer = @{ result = 'stale' }
$beside = $null
try {
    $path = [Environment]::ExpandEnvironmentVariables($asked.path)
    $before = ''
    if ([IO.File]::Exists($path)) {
        $before = [BitConverter]::ToString($sha.ComputeHash([IO.File]::ReadAllBytes($path))).Replace('-', '').ToLower()
    }
    $answer.before = $before
    if ($before -eq $asked.expected) {
        $beside = $path + '.provmode-' + [Guid]::NewGuid().ToString('N')
        [IO.File]::WriteAllBytes($beside, [Convert]::FromBase64String($asked.base64))
        if ($before -eq '') {
            [IO.File]::Move($beside, $path)
        } else {
            $backup = $path + '.' + $asked.backup
            [IO.File]::Replace($beside, $path, $backup)
            $answer.backup = $backup
        }
        $beside = $null
        $answer.result = 'swapped'
        $answer.after = [BitConverter]::ToString($sha.ComputeHash([IO.File]::ReadAllBytes($path))).Replace('-', '').ToLower()
    }
} catch {
    $answer = @{ error = $_.Exception.GetBaseException().GetType().Name }
    if ($beside) { try { [IO.File]::Delete($beside) } catch { } }
}
[Console]::Out.WriteLine((ConvertTo-Json $answer -Compress))
