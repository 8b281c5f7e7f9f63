$ErrorActionPreference = 'Stop'
$reader = New-Object IO.StreamReader([Console]::OpenStandardInput(), [Text.Encoding]::UTF8)
$asked = ConvertFrom-Json $reader.ReadToEnd()
$answer = @{ result = 'done' }
try {
    $null = Install-TrustedProvisioningCertificate -CertificatePath ([Environment]::ExpandEnvironmentVariables($asked.path))
} catch {
    $answer = @{ result = 'refused' }
    $answer.hresult = $_.Exception.GetBaseException().HResult
    $answer.type = $_.Exception.GetBaseException().GetType().Name
}
[Console]::Out.WriteLine((ConvertTo-Json $answer -Compress))
