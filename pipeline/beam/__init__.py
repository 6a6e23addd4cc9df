"""The Apache Beam job that makes data sets, and where it runs. Nothing else imports Beam."""
