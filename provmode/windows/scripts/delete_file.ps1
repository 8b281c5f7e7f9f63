$ErrorActionPreference = 'Stop'
$reader = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8)
$asked = ConvertFrom-Json $reader.ReadToEnd()
$sha = [Security.Cryptography.SHA256]::Create()
$answer = @{ result = 'stale' }
try {
    $path = [Environment]::ExpandEnvironmentVariables($asked.path)
    $before = ''
    if ([IO.File]::Exists($path)) {
        $before = [BitConverter]::ToString($sha.ComputeHash([IO.File]::ReadAllBytes($path))).Replace('-', '').ToLower()
    }
    $answer.before = $before
    if ($before -ne '' -and $before -eq $asked.expected) {
        [IO.File]::Delete($path)
        $answer.result = 'deleted'
    }
} catch {
    $answer = @{ error = $_.Exception.GetBaseException().GetType().Name }
}
[Console]::Out.WriteLine((ConvertTo-Json $answer -Compress))
