module theeye/clients/go

go 1.26.0
