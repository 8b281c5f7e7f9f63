$ErrorActionPreference = 'Stop'
$reader = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8)
$asked = ConvertFrom-Json $reader.ReadToEnd()
$answer = @{ exists = $false }
try {
    $path = [Environment]::ExpandEnvironmentVariables($asked.path)
    if ([IO.File]::Exists($path)) {
        $data = [IO.File]::ReadAllBytes($path)
        $count = [Math]::Max(0, [Math]::Min($asked.count, $data.Length - $asked.offset))
        $hash = [Security.Cryptography.SHA256]::Create().ComputeHash($data)
        $answer.exists = $true
        $answer.size = $data.Length
        $answer.sha256 = [BitConverter]::ToString($hash).Replace('-', '').ToLower()
        $answer.base64 = [Convert]::ToBase64String($data, $asked.offset, $count)
    }
} catch {
    $answer = @{ error = $_.Exception.GetBaseException().GetType().Name }
}
[Console]::Out.WriteLine((ConvertTo-Json $answer -Compress))
