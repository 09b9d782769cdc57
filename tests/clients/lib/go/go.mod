module ottla/clients/scenario

go 1.24
