$ErrorActionPreference = 'Stop'
$reader = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8)
$asked = ConvertFrom-Json $reader.ReadToEnd()
$answer = @{ result = 'done' }
try {
    $null = Uninstall-TrustedProvisioningCertificate -Thumbprint $asked.thumbprint
} catch {
    $answer = @{ result = 'refused' }
    $answer.hresult = $_.Exception.GetBaseException().HResult
    $answer.type = $_.Exception.GetBaseException().GetType().Name
}
[Console]::Out.WriteLine((ConvertTo-Json $answer -Compress))
