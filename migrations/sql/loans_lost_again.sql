-- What was paid before a loan was given up and went back afterwards is lost too.

INSERT INTO loan_moves VALUES ('written_off_again', 'WRITTEN_OFF', 'WRITTEN_OFF', '{loan.written_off_again}');
